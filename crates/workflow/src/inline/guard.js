// Runs before an inline expression. QuickJS asks about the deadline between operations of the script, not inside
// of its own functions: those that could loop for ages over a length that somebody made up are wrapped.
(() => {
  const MOST = 100_000;
  const COMPARISONS = 10_000_000;
  const { apply, ownKeys } = Reflect;
  const { isArray } = Array;
  const TooMuch = RangeError;
  const wrap = (owner, name, refuses) => {
    const native = owner[name];
    const guarded = {
      [name](...args) {
        if (refuses(this, args)) throw new TooMuch(`${String(name)} on too large a value`);
        return apply(native, this, args);
      },
    };
    Object.defineProperty(owner, name, { value: guarded[name], writable: true, configurable: true });
  };
  for (const name of ownKeys(Array.prototype)) {
    if (name === 'constructor' || typeof Array.prototype[name] !== 'function') continue;
    wrap(Array.prototype, name, (self, args) =>
      !isArray(self) || self.length > MOST || (name === 'concat' && args.some((list) => isArray(list) && list.length > MOST)));
  }
  for (const name of ['indexOf', 'lastIndexOf', 'includes', 'split', 'replace', 'replaceAll', 'startsWith', 'endsWith']) {
    wrap(String.prototype, name, (self, [what]) =>
      typeof self !== 'string' || (typeof what === 'string' ? self.length * what.length > COMPARISONS : isArray(what)));
  }
})();
