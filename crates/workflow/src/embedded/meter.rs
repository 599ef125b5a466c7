//! Counts the memory of one JavaScript runtime and refuses more than its limit.
//!
//! QuickJS has a limit of its own, but an author can catch the error it throws and go on. The meter
//! remembers that the limit was hit, and the engine's interrupt handler then ends the runtime for good.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rquickjs::allocator::{Allocator, RustAllocator};

/// What the runtime's owner sees of its memory.
#[derive(Debug)]
pub(crate) struct Usage {
    used: AtomicUsize,
    limit: AtomicUsize,
    exceeded: AtomicBool,
    /// Nothing is given out after this time, nor after the limit was hit once.
    strict: Mutex<Option<Instant>>,
    is_strict: AtomicBool,
}

impl Usage {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            exceeded: AtomicBool::new(false),
            strict: Mutex::new(None),
            is_strict: AtomicBool::new(false),
        })
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether the runtime has ever asked for more than its limit.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Gives nothing out any more once the limit was hit or the time is over. QuickJS checks a deadline
    /// only every few thousand operations, and one operation can be long: those that allocate fail here.
    pub(crate) fn set_strict(&self, deadline: Option<Instant>) {
        *self.strict.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
        self.is_strict.store(deadline.is_some(), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        if !self.is_strict.load(Ordering::Relaxed) {
            return false;
        }
        let deadline = *self.strict.lock().unwrap_or_else(PoisonError::into_inner);
        self.exceeded() || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn allows(&self, more: usize) -> bool {
        if self.is_over() {
            return false;
        }
        let wanted = self.used.load(Ordering::Relaxed).saturating_add(more);
        let allowed = wanted <= self.limit.load(Ordering::Relaxed);
        if !allowed {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        allowed
    }

    fn add(&self, size: usize) {
        self.used.fetch_add(size, Ordering::Relaxed);
    }

    fn remove(&self, size: usize) {
        self.used.fetch_sub(size, Ordering::Relaxed);
    }
}

/// An allocator for one runtime; only that runtime's thread uses it.
pub(crate) struct Meter(pub(crate) Arc<Usage>);

impl Meter {
    #[expect(unsafe_code, reason = "asks the allocator about a block that it has just handed out")]
    fn count(&self, block: *mut u8) -> *mut u8 {
        if !block.is_null() {
            // SAFETY: `block` comes from `RustAllocator` and is alive.
            self.0.add(unsafe { RustAllocator::usable_size(block) });
        }
        block
    }
}

#[expect(unsafe_code, reason = "the only way to see every allocation of a QuickJS runtime")]
// SAFETY: every block comes from `RustAllocator`, which keeps the contract; counting changes no pointer.
unsafe impl Allocator for Meter {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        if self.0.allows(size) {
            self.count(RustAllocator.alloc(size))
        } else {
            std::ptr::null_mut()
        }
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        match count.checked_mul(size) {
            Some(total) if self.0.allows(total) => self.count(RustAllocator.calloc(count, size)),
            _ => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        // SAFETY: the caller hands back a block of this allocator, and all of those are `RustAllocator`'s.
        unsafe {
            self.0.remove(RustAllocator::usable_size(block));
            RustAllocator.dealloc(block);
        }
    }

    unsafe fn realloc(&mut self, block: *mut u8, new_size: usize) -> *mut u8 {
        if block.is_null() {
            return self.alloc(new_size);
        }
        // SAFETY: as in `dealloc`; on failure the old block stays valid and stays counted.
        unsafe {
            let old_size = RustAllocator::usable_size(block);
            if !self.0.allows(new_size.saturating_sub(old_size)) {
                return std::ptr::null_mut();
            }
            let moved = RustAllocator.realloc(block, new_size);
            if !moved.is_null() {
                self.0.remove(old_size);
            }
            self.count(moved)
        }
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: the caller asks about a block of this allocator.
        unsafe { RustAllocator::usable_size(block) }
    }
}
