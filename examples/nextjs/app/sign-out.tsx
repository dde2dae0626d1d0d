'use client'
import { useRouter } from 'next/navigation'
import { useState } from 'react'
import { authClient } from '../lib/auth-client'

export function SignOut() {
  const router = useRouter()
  const [problem, setProblem] = useState('')

  async function signOut() {
    const { error } = await authClient.signOut()
    // A 503 means the session could not be ended: say so instead of pretending.
    if (error) setProblem('You are still signed in. Try again.')
    else router.refresh()
  }

  return (
    <>
      <button type="button" onClick={signOut}>
        Sign out
      </button>
      <p role="alert">{problem}</p>
    </>
  )
}
