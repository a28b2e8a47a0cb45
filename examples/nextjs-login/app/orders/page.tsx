import {cookies} from 'next/headers';
import {redirect} from 'next/navigation';
import {logout} from '../actions';
import {COOKIE} from '../cookie';

/** What another API, which b2b-auth's authorizer protects, answers to this shopper; a sentence where it does not. */
export default async function Orders() {
  const token = (await cookies()).get(COOKIE)?.value;
  if (!token) redirect('/');
  const {status, orders} = await fetch(process.env.ORDERS_URL!, {
    headers: {Authorization: `Bearer ${token}`}, cache: 'no-store', signal: AbortSignal.timeout(10_000),
  }).then(async answer => ({status: answer.status, orders: answer.ok && await answer.json()}))
    .catch((error: Error) => ({status: error.name, orders: undefined}));
  if (status === 401 || status === 403) redirect('/');
  if (!orders) console.error('Orders:', status);
  return (
    <>
      {orders ? <pre>{JSON.stringify(orders, null, 2)}</pre> : <p role="alert">The orders are not available at the moment.</p>}
      <form action={logout}><button>Log out</button></form>
    </>
  );
}
