/** Label selectors and patterns. */

/** A string (globs allowed where the option says so) or a regular expression. */
export type Pattern = string | RegExp;
/** One pattern or several. */
export type Patterns = Pattern | readonly Pattern[];

/** A label matcher in the form of the lock file. */
export type LabelMatcher =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'regex'; readonly source: string; readonly flags: string };

/** Where a job runs: one agent that has all labels. */
export type RunsOn =
  | Patterns
  | {
      readonly labels: Patterns;
      readonly exclude?: Patterns;
      /** The agent with the lowest id, or any. */
      readonly pick?: 'deterministic' | 'any';
    };

/** Hosts of a fan-out: one child for each host that matches any group. */
export type RunsOnAll =
  | Patterns
  | {
      readonly include: readonly { readonly all: readonly Pattern[] }[];
      readonly exclude?: readonly Pattern[];
    };
