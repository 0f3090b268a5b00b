//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator; as the global one it counts the allocations of its library or
/// executable.
#[derive(Debug)]
pub struct CountingAllocator {
    allocations: AtomicU64,
    bytes: AtomicU64,
    peak_bytes: AtomicU64,
}

impl CountingAllocator {
    /// An allocator that has counted nothing yet.
    #[expect(clippy::new_without_default, reason = "a default can't be made in a static")]
    pub const fn new() -> Self {
        Self {
            allocations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
        }
    }

    /// Allocations so far, on all threads.
    pub fn count(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// Most bytes that `work` has allocated at a time, beyond what was allocated before it.
    pub fn peak_bytes(&self, work: impl FnOnce()) -> u64 {
        let before = self.bytes.load(Ordering::Relaxed);
        self.peak_bytes.store(before, Ordering::Relaxed);
        work();
        self.peak_bytes.load(Ordering::Relaxed) - before
    }
}

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        let size = layout.size() as u64;
        let bytes = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        self.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.bytes.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}
