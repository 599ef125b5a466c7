/** `ctx.kici`: questions to the orchestrator, sent as `{method, params}`. */

import type { LabelMatcher } from './types/selectors.js';

/** A host that the orchestrator knows. */
export interface HostInventoryEntry {
  readonly agentId: string;
  readonly labels: readonly string[];
  readonly properties: Readonly<Record<string, unknown>>;
  readonly hostname: string;
  readonly platform: string;
  readonly arch: string;
  readonly lifecycleClass: 'static' | 'ephemeral';
  readonly status: 'ready' | 'unreachable' | 'stale';
  readonly lastSeen: string;
}

/** Scalers and agents. */
export interface Infrastructure {
  readonly scalers: readonly {
    readonly name: string;
    readonly type: string;
    readonly labelSets: readonly (readonly string[])[];
    readonly source: string;
  }[];
  readonly agents: readonly {
    readonly agentId: string;
    readonly labels: readonly string[];
    readonly scalerManaged: boolean;
    readonly source: string;
  }[];
}

/** Which hosts are wanted: any of the groups, none of the excluded. */
export interface InventoryQuery {
  readonly include?: readonly (readonly LabelMatcher[])[];
  readonly exclude?: readonly LabelMatcher[];
}

/** `ctx.kici`. */
export interface KiciApi {
  readonly infrastructure: { list(): Promise<Infrastructure> };
  readonly inventory: {
    query(query?: InventoryQuery): Promise<HostInventoryEntry[]>;
    get(agentId: string): Promise<HostInventoryEntry | null>;
  };
  readonly oidc: {
    /** A token for `audience` (at most 255 characters); masked in logs. */
    token(options: { readonly audience: string }): Promise<{ token: string; expiresIn: number; jti: string }>;
  };
  readonly host: { requestReboot(options?: { readonly deadlineMs?: number }): Promise<void> };
  readonly bootstrap: {
    ensureInitRunner(agentId: string): Promise<{ broughtUp: boolean }>;
    preBootSend(
      agentId: string,
      options: { readonly inputSecret: string; readonly port?: number; readonly command?: string },
    ): Promise<void>;
  };
}

/** Sends a request to the orchestrator. */
export type ApiRequest = (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>;

const MAX_AUDIENCE = 255;

/** Builds `ctx.kici` over a runner's way to ask. */
export function buildKiciApi(request: ApiRequest): KiciApi {
  const ask = async <T>(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<T> =>
    (await request(method, params)) as T;
  return {
    infrastructure: { list: () => ask('infrastructure.list') },
    inventory: {
      query: (query = {}) => ask('inventory.query', { ...query }),
      get: (agentId) => ask('inventory.get', { agentId }),
    },
    oidc: {
      async token({ audience }) {
        if (typeof audience !== 'string' || audience === '' || audience.length > MAX_AUDIENCE) {
          throw new TypeError(
            `kici.oidc.token: \`audience\` must be a string of 1 to ${MAX_AUDIENCE} characters`,
          );
        }
        return ask('oidc.token.request', { audience });
      },
    },
    host: {
      async requestReboot(options = {}) {
        await ask('host.requestReboot', { ...options });
      },
    },
    bootstrap: {
      ensureInitRunner: (agentId) => ask('kici.ensureInitRunner', { agentId }),
      async preBootSend(agentId, options) {
        await ask('kici.preBootSend', { agentId, ...options });
      },
    },
  };
}
