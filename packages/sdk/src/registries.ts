/** Package registries of a workflow, and the secrets that the installation may see. */

/** A package registry. */
export interface Registry {
  readonly url: string;
  /** `@scope`; one registry may go without and is then the default. */
  readonly scope?: string;
  /** `<environment>:<secret>`. */
  readonly tokenSecret: string;
  /** Default true. */
  readonly alwaysAuth?: boolean;
}

const SECRET_REF = /^[^:]+:[^:]+$/;
const SCOPE = /^@[A-Za-z0-9-]+$/;
const URL_TEXT = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]+\S*$/i;

/** Fails with what to write when a registry is wrong. */
export function checkRegistries(owner: string, registries: readonly Registry[]): void {
  const scopes = new Set<string>();
  registries.forEach(({ url, scope, tokenSecret }, index) => {
    const place = `${owner}: registries[${index}]`;
    if (!isUrl(url)) {
      throw new TypeError(`${place}.url ${JSON.stringify(url)} is no URL; write 'https://npm.example.com/'`);
    }
    if (typeof tokenSecret !== 'string' || !SECRET_REF.test(tokenSecret)) {
      throw new TypeError(
        `${place}.tokenSecret ${JSON.stringify(tokenSecret)} must be '<environment>:<secret>'; write 'production:NPM_TOKEN'`,
      );
    }
    if (scope !== undefined && !SCOPE.test(scope)) {
      throw new TypeError(
        `${place}.scope ${JSON.stringify(scope)} must be '@' and letters, digits or '-'; write '@acme'`,
      );
    }
    const key = scope ?? '';
    if (scopes.has(key)) {
      throw new TypeError(
        scope === undefined
          ? `${place}: only one registry may go without \`scope\`; give this one a scope, e.g. '@acme'`
          : `${place}.scope ${scope} is used twice; keep one registry for each scope`,
      );
    }
    scopes.add(key);
  });
}

/** Fails with what to write when an element of `installEnv` is wrong. */
export function checkInstallEnv(owner: string, installEnv: readonly string[]): void {
  installEnv.forEach((ref: unknown, index) => {
    if (typeof ref === 'string' && SECRET_REF.test(ref)) return;
    throw new TypeError(
      `${owner}: installEnv[${index}] ${JSON.stringify(ref)} must be '<environment>:<secret>'; write 'production:MIRROR_TOKEN'`,
    );
  });
}

function isUrl(text: unknown): boolean {
  if (typeof text !== 'string' || !URL_TEXT.test(text)) return false;
  try {
    return typeof URL !== 'function' || new URL(text).href !== '';
  } catch {
    return false;
  }
}
