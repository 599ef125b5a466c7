/** `ctx.secrets`, and the error for a name that is not there. */

/** What is known about a secret besides its value. */
export interface SecretMeta {
  readonly environment?: string;
  readonly updatedAt?: string;
}

/** Files made of secrets. */
export interface MountFileOptions {
  /** Secrets to put into the file, in this order. */
  readonly sources: readonly string[];
  /** Between two of them; default nothing. */
  readonly divider?: string;
  /** File mode; default 0o600. */
  readonly mode?: number;
  /** File name; default chosen by the runner. */
  readonly name?: string;
}

/** Secrets of a step. */
export interface StepSecrets {
  /** The value; rejects with `SecretNotFoundError`. */
  get(key: string): Promise<string>;
  has(key: string): boolean;
  /** Names, sorted. */
  list(): string[];
  getMeta(key: string): SecretMeta | undefined;
  /** Sets the environment variable of the same name. */
  expose(key: string): Promise<void>;
  /** Writes secrets into a private file that is removed when the step ends. */
  mountFile(options: MountFileOptions): Promise<string>;
  /** The same, and sets `variable` to the file's path. */
  exposeFile(variable: string, options: MountFileOptions): Promise<string>;
}

/** No secret has this name. */
export class SecretNotFoundError extends Error {
  readonly key: string;
  readonly availableKeys: readonly string[];

  constructor(key: string, availableKeys: readonly string[]) {
    const known =
      availableKeys.length > 0 ? `available: ${availableKeys.join(', ')}` : 'this job has no secrets';
    super(
      `Secret '${key}' not found; ${known}. Bind an environment that has it to the job with \`environment\``,
    );
    this.name = 'SecretNotFoundError';
    this.key = key;
    this.availableKeys = availableKeys;
  }
}

/** How a runner gets at secrets. */
export interface SecretSource {
  readonly keys: readonly string[];
  get(key: string): Promise<string>;
  expose(key: string, value: string): Promise<void>;
  mountFile(options: MountFileOptions, exposeAs?: string): Promise<string>;
  meta?(key: string): SecretMeta | undefined;
}

/** Builds `ctx.secrets` over a runner's source; `NotFound` is the class of the SDK that the workflow uses. */
export function createStepSecrets(source: SecretSource, NotFound = SecretNotFoundError): StepSecrets {
  const need = (key: string): void => {
    if (!source.keys.includes(key)) throw new NotFound(key, [...source.keys].sort());
  };
  return {
    async get(key) {
      need(key);
      return source.get(key);
    },
    has: (key) => source.keys.includes(key),
    list: () => [...source.keys].sort(),
    getMeta: (key) => source.meta?.(key),
    async expose(key) {
      need(key);
      await source.expose(key, await source.get(key));
    },
    async mountFile(options) {
      for (const key of options.sources) need(key);
      return source.mountFile(options);
    },
    async exposeFile(variable, options) {
      for (const key of options.sources) need(key);
      return source.mountFile(options, variable);
    },
  };
}
