/** Requests to the host and their answers. */

import type { FromGuest, HostErrorData, ToGuest } from './frames.js';
import { globals } from './frames.js';

interface Open {
  readonly call: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onPush: ((data: unknown) => void) | undefined;
}

/** Parameters of a request; a function makes them from the request's number. */
export type Params = object | null | ((id: number) => object);

/** A request that was sent. */
export interface Sent {
  readonly id: number;
  readonly answer: Promise<unknown>;
}

/** The guest's end of the connection. */
export class HostLink {
  readonly #open = new Map<number, Open>();
  #next = 1;

  /** Sends a frame. */
  send(frame: FromGuest): void {
    const host = globals.__kiciHost;
    if (!host) throw new Error('the engine did not install __kiciHost');
    host.send(JSON.stringify(frame));
  }

  /** Asks the host. `params` may be made from the request's number. */
  request(call: number, method: string, params: Params, onPush?: (data: unknown) => void): Sent {
    const id = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) =>
      this.#open.set(id, { call, resolve, reject, onPush }),
    );
    // Whoever needs the answer awaits it; an answer that nobody awaits must not end the engine.
    answer.catch(() => {});
    this.send({
      type: 'request',
      call,
      request: id,
      method,
      params: typeof params === 'function' ? params(id) : params,
    });
    return { id, answer };
  }

  /** Tells the host something. */
  notify(call: number, method: string, params: unknown): void {
    this.send({ type: 'notify', call, method, params });
  }

  /** The call that a request belongs to. */
  callOf(request: number): number | undefined {
    return this.#open.get(request)?.call;
  }

  /** Takes an answer, or a piece of streamed data. */
  take(frame: Extract<ToGuest, { readonly request: number }>): void {
    const open = this.#open.get(frame.request);
    if (!open) return;
    if (frame.type === 'push') {
      open.onPush?.(frame.data);
      return;
    }
    this.#open.delete(frame.request);
    if (frame.error) open.reject(hostError(frame.error));
    else open.resolve(frame.ok);
  }
}

/** The host's error as an object that the author may catch. */
function hostError({ name, message, data }: HostErrorData): Error {
  const error =
    name === 'TypeError'
      ? new TypeError(message)
      : name === 'RangeError'
        ? new RangeError(message)
        : new Error(message);
  if (name && name !== error.name)
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return Object.assign(error, data ?? {});
}
