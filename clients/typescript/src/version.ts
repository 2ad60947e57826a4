/** The version of this package, which every request names in `X-Client-Version`. */
export const VERSION = '0.1.0';
