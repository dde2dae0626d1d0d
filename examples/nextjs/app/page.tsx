import { readFromGateway } from '../lib/gateway'
import { SignIn } from './sign-in'
import { SignOut } from './sign-out'

interface Orders {
  user_id: string
  orders: { id: number; item: string }[]
}

/** Rendered on the server: no session code, no database here. The gateway checks, the upstream answers. */
export default async function Page() {
  const answer = await readFromGateway<Orders>('/api/orders')
  if (answer === null) return <SignIn />
  return (
    <main>
      <h1>Orders of {answer.user_id}</h1>
      <ul>
        {answer.orders.map(order => (
          <li key={order.id}>{order.item}</li>
        ))}
      </ul>
      <SignOut />
    </main>
  )
}
