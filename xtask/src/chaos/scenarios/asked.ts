/** Imported, so that the lock file cannot carry the function that uses it. */
export const ASKED = 'asked-for';
