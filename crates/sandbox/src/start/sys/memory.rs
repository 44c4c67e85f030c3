//! Letting go of memory that was needed to start and is not needed to wait.

/// Gives back freed memory and the pages of this program's code and constants. What is needed again is mapped again from
/// the file, on access. A process that waits keeps some hundred KiB of them instead of everything it ever ran through.
pub(crate) fn settle() {
    #[cfg(target_env = "gnu")]
    // SAFETY: gives unused pages of the allocator back; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0)
    };
    for (start, length) in read_only_segments() {
        // SAFETY: the range is a segment of this program that the linker made not writable, mapped privately from its file.
        // Nothing in it was ever changed (there are no relocations in such segments), so what is mapped on the next access
        // has the same bytes. An error leaves everything as it is.
        unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Page-aligned start and length of each loaded segment that cannot be written to.
fn read_only_segments() -> Vec<(usize, usize)> {
    // SAFETY: reads values that the kernel gave this process when it started; 0 for what it did not give.
    let (table, count) =
        unsafe { (libc::getauxval(libc::AT_PHDR) as usize, libc::getauxval(libc::AT_PHNUM) as usize) };
    if table == 0 {
        return Vec::new();
    }
    // SAFETY: the kernel says that `count` program headers stand at `table`; they are part of the first segment, which
    // stays mapped for as long as the process lives.
    let headers = unsafe { std::slice::from_raw_parts(table as *const libc::Elf64_Phdr, count) };
    // The header of the table itself says where it would be if nothing had been moved.
    let Some(own) = headers.iter().find(|header| header.p_type == libc::PT_PHDR) else { return Vec::new() };
    let moved = table.wrapping_sub(own.p_vaddr as usize);
    let page = rustix::param::page_size();
    headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
        .map(|header| {
            let start = moved.wrapping_add(header.p_vaddr as usize);
            let aligned = start & !(page - 1);
            (aligned, start - aligned + header.p_filesz as usize)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code and constants are in the segments that are let go of, variables are not, and all is as before afterwards.
    #[test]
    fn a_program_runs_on() {
        static mut VARIABLE: u32 = 7;
        let segments = read_only_segments();
        let inside = |address: usize| {
            segments.iter().any(|(start, length)| (*start..start + length).contains(&address))
        };
        assert!(inside(settle as *const () as usize), "{segments:x?}");
        assert!(inside("a constant".as_ptr() as usize));
        assert!(!inside(&raw const VARIABLE as usize));
        // A table of addresses, which the loader has changed.
        let table: &'static [&'static str] = &["a", "table"];
        assert!(!inside(table.as_ptr() as usize));
        settle();
        assert_eq!(table.concat(), "atable");
    }
}
