'use client'
import { useRouter } from 'next/navigation'
import { type SyntheticEvent, useState } from 'react'
import { authClient } from '../lib/auth-client'

/** Signs in, or up with `intent=up`, straight at the gateway: the session cookie comes from there. */
export function SignIn() {
  const router = useRouter()
  const [problem, setProblem] = useState('')

  async function submit(event: SyntheticEvent<HTMLFormElement, SubmitEvent>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget, event.nativeEvent.submitter)
    const email = String(form.get('email'))
    const password = String(form.get('password'))
    const { error } =
      form.get('intent') === 'up'
        ? await authClient.signUp.email({ email, password, name: email })
        : await authClient.signIn.email({ email, password })
    if (error) setProblem(error.message ?? 'That did not work.')
    else router.refresh()
  }

  return (
    <form onSubmit={submit}>
      <label>
        E-mail <input name="email" type="email" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" minLength={8} required />
      </label>
      <button name="intent" value="in">
        Sign in
      </button>
      <button name="intent" value="up">
        Sign up
      </button>
      <p role="alert">{problem}</p>
    </form>
  )
}
