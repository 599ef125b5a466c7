/** Names for jobs that have none. They never leave the process: the compiler calls them `job-N`. */

/** A random UUID; not for secrets. */
export function randomId(): string {
  const hex = (): string =>
    Math.floor(Math.random() * 0x10000)
      .toString(16)
      .padStart(4, '0');
  const variant = '89ab'.charAt(Math.floor(Math.random() * 4));
  return `${hex()}${hex()}-${hex()}-4${hex().slice(1)}-${variant}${hex().slice(1)}-${hex()}${hex()}${hex()}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a job's name is one that the SDK made up. */
export function isRandomId(name: string): boolean {
  return UUID.test(name);
}
