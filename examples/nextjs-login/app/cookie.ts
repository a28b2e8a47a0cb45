const secure = process.env.NODE_ENV === 'production';

/** With `__Host-` no other host of the domain can set it; browsers refuse the name where the cookie is not `Secure`. */
export const COOKIE = secure ? '__Host-storefront-token' : 'storefront-token';
export const ATTRIBUTES = {httpOnly: true, secure, sameSite: 'lax', path: '/'} as const;
