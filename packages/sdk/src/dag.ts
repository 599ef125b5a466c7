/** Checks the graph that `needs` makes. */

import { isDynamicGroupRef, type Need } from './needs.js';
import { hasTag, isObject } from './tags.js';

/** A job as far as the graph is concerned. */
export interface DagJob {
  readonly name: string;
  readonly needs?: readonly Need[];
}

/** What is wrong with a graph; empty when nothing is. */
export interface DagReport {
  readonly valid: boolean;
  readonly errors: readonly string[];
}

/** Names of the jobs that a job needs; groups are left out. */
function upstreamNames(needs: readonly Need[] = []): string[] {
  const names: string[] = [];
  for (const need of needs) {
    if (typeof need === 'string') names.push(need);
    else if (isDynamicGroupRef(need)) continue;
    else if (hasTag(need, 'Job') || isObject(need)) {
      const { name } = need as { readonly name?: unknown };
      if (typeof name === 'string') names.push(name);
    }
  }
  return names;
}

/** Finds unknown jobs, jobs that need themselves, duplicate names and cycles. */
export function validateDag(jobs: readonly DagJob[]): DagReport {
  const errors: string[] = [];
  const edges = new Map<string, string[]>();
  for (const { name, needs } of jobs) {
    if (edges.has(name)) errors.push(`two jobs are named '${name}'`);
    edges.set(name, upstreamNames(needs));
  }
  for (const [name, needs] of edges) {
    for (const need of needs) {
      if (need === name) errors.push(`job '${name}' needs itself`);
      else if (!edges.has(need)) errors.push(`job '${name}' needs '${need}', which does not exist`);
    }
  }
  const cycle = findCycle(edges);
  if (cycle) errors.push(`jobs need each other in a circle: ${cycle.join(' → ')}`);
  return { valid: errors.length === 0, errors };
}

/** Depth-first without recursion, so that long chains do not end the stack. */
function findCycle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  for (const start of edges.keys()) {
    const path: string[] = [];
    const onPath = new Set<string>();
    const stack: { readonly name: string; next: number }[] = [{ name: start, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as { readonly name: string; next: number };
      if (top.next === 0) {
        path.push(top.name);
        onPath.add(top.name);
      }
      const need = (edges.get(top.name) ?? [])[top.next++];
      if (need === undefined) {
        stack.pop();
        path.pop();
        onPath.delete(top.name);
        done.add(top.name);
      } else if (onPath.has(need) && need !== top.name) {
        return [...path.slice(path.indexOf(need)), need];
      } else if (!done.has(need) && need !== top.name && edges.has(need)) {
        stack.push({ name: need, next: 0 });
      }
    }
  }
  return undefined;
}
