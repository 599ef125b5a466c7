/** The guest: loads the author's module, describes it, and runs its functions when the host says so. */

import { isObject } from '../tags.js';
import { Call } from './call.js';
import { installConsole } from './console.js';
import { buildArgument, type CallData, type ContextParts } from './contexts.js';
import { currentCall, resumeCall, startCall } from './current-call.js';
import { describeGenerated, describeModule } from './describe/module.js';
import { Environment } from './environment.js';
import { ErrorTable } from './errors.js';
import { globals, type ToGuest } from './frames.js';
import { type Handle, HandleTable, type StepRole } from './handles.js';
import { HostLink } from './host-link.js';
import { Outputs } from './upstream.js';
import { checkDrift, checkOutputs } from './validate.js';

type LoadFrame = Extract<ToGuest, { readonly type: 'load' }>;
type CallFrame = Extract<ToGuest, { readonly type: 'call' }>;

/** What a successful `load` leaves behind. */
interface Loaded extends Omit<ContextParts, 'secretKeys'> {
  readonly handles: HandleTable;
  readonly environment: Environment;
  readonly defaults: CallData;
  readonly secretKeys: readonly string[] | undefined;
}

/** One guest for one engine. */
export class Guest {
  readonly #link = new HostLink();
  readonly #errors = new ErrorTable();
  readonly #calls = new Map<number, Call>();
  #loaded: Loaded | undefined;
  #secretKeys: Promise<readonly string[]> | undefined;

  /** Installs what the author's code sees and tells the host that frames are welcome. */
  start(): void {
    if (!globals.__kiciAsync) {
      installConsole((stream, text) => this.#link.notify(currentCall(), 'log', { level: stream, text }));
    }
    this.#link.send({ type: 'ready' });
  }

  /** Takes a frame. */
  receive(json: string): void {
    const frame = JSON.parse(json) as ToGuest;
    switch (frame.type) {
      case 'load':
        void this.#load(frame);
        break;
      case 'call':
        void startCall(frame.call, () => this.#call(frame));
        break;
      case 'abort':
        resumeCall(frame.call);
        this.#calls.get(frame.call)?.abort(frame.reason ?? 'aborted');
        break;
      case 'reply':
      case 'push':
        resumeCall(this.#link.callOf(frame.request));
        this.#link.take(frame);
        break;
    }
  }

  async #load({ entry, root, mode, state }: LoadFrame): Promise<void> {
    try {
      const { context, upstream, secretKeys } = isObject(state) ? state : {};
      const environment = new Environment();
      const outputs = new Outputs(upstream);
      const exports = (await import(entry)) as Readonly<Record<string, unknown>>;
      const handles = new HandleTable(mode === 'describe');
      const description = describeModule(exports, handles);
      this.#loaded = {
        root,
        outputs,
        handles,
        environment,
        defaults: isObject(context) ? context : {},
        secretKeys: Array.isArray(secretKeys) ? secretKeys.map(String) : undefined,
      };
      this.#link.send({ type: 'loaded', description });
    } catch (error) {
      this.#link.send({ type: 'failed', error: this.#errors.describe(error) });
    }
  }

  async #call(frame: CallFrame): Promise<void> {
    const loaded = this.#loaded;
    if (!loaded) {
      this.#link.send({
        type: 'threw',
        call: frame.call,
        error: this.#errors.describe(new Error('no module is loaded')),
      });
      return;
    }
    const call = new Call(frame.call, this.#link, loaded.environment);
    this.#calls.set(frame.call, call);
    try {
      const value = await this.#run(call, loaded, frame);
      await call.settle();
      this.#answer(frame.call, value);
    } catch (error) {
      // What the function threw matters more than a change that the host refused.
      await call.settle().catch(() => {});
      this.#link.send({ type: 'threw', call: frame.call, error: this.#errors.describe(error) });
    } finally {
      this.#calls.delete(frame.call);
    }
  }

  #answer(call: number, value: unknown): void {
    if (value === undefined || value === null) {
      this.#link.send({ type: 'returned', call });
      return;
    }
    try {
      JSON.stringify(value);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TypeError(
        `the returned value cannot be written as JSON (${why}); return plain objects, lists, strings, numbers and booleans`,
        { cause },
      );
    }
    this.#link.send({ type: 'returned', call, value });
  }

  async #run(call: Call, loaded: Loaded, { fn, kind, data, args = [] }: CallFrame): Promise<unknown> {
    const handle = loaded.handles.get(fn);
    const more = args.map((arg) => this.#errors.revive(arg));
    loaded.outputs.bind(handle.scope);
    if (kind === 'plain') return handle.fn(this.#errors.revive(data), ...more);

    const merged: CallData = { ...loaded.defaults, ...(isObject(data) ? data : {}) };
    loaded.environment.apply(merged.env);
    const secretKeys = kind === 'step' || kind === 'hook' ? await this.#keysOfSecrets(call, loaded) : [];
    const { root, outputs } = loaded;
    const argument = buildArgument(kind, call, handle, merged, { root, outputs, secretKeys });
    // The wait for the secrets' names may have ended in another call's frame.
    resumeCall(call.id);
    const value = await handle.fn(argument, ...more);
    if (kind === 'generator') return describeGenerated(value, workflowOf(handle), loaded.handles);
    if (kind === 'rule') return Boolean(value);
    if (kind === 'step' && handle.role) await keep(handle.role, loaded, value);
    return value;
  }

  #keysOfSecrets(call: Call, loaded: Loaded): Promise<readonly string[]> | readonly string[] {
    if (loaded.secretKeys) return loaded.secretKeys;
    this.#secretKeys ??= call.ask('secrets.list', {}).then(
      (answer) => (isObject(answer) && Array.isArray(answer.keys) ? answer.keys.map(String) : []),
      () => [],
    );
    return this.#secretKeys;
  }
}

/** Checks what a step returned and keeps its outputs for later steps. */
async function keep(role: StepRole, { environment, outputs }: Loaded, value: unknown): Promise<void> {
  const validates = environment.live.KICI_OUTPUT_VALIDATION !== 'off';
  if (role.part === 'check') {
    if (validates && role.drift !== undefined) await checkDrift(role.step, role.drift, value);
    return;
  }
  if (validates && role.outputs) await checkOutputs(role.step, role.outputs, value);
  if (value !== undefined && value !== null) outputs.keep(role.step, value);
}

function workflowOf({ scope }: Handle): {
  readonly name: string;
  readonly jobNames: ReadonlyMap<string, string>;
} {
  return scope?.workflow ?? { name: '', jobNames: new Map() };
}
