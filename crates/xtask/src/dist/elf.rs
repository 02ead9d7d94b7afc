//! PURE. What an ELF program is for, and whether it needs anything on the machine it runs on.

/// The kind of program header that names the loader of shared libraries (elf(5): `PT_INTERP`).
const INTERP: u32 = 3;

/// That a program is static and for this architecture; else what it is, in words.
///
/// # Errors
/// What is wrong with it.
pub fn must_be(bytes: &[u8], arch: &str) -> Result<(), String> {
    let found = machine(bytes).ok_or("it is no 64-bit little-endian ELF program")?;
    if found != arch {
        return Err(format!("it is for {found}, not for {arch}"));
    }
    match loader(bytes) {
        Some(false) => Ok(()),
        Some(true) => Err("it is not static: it asks for a loader of shared libraries".to_owned()),
        None => Err("its program headers cannot be read".to_owned()),
    }
}

fn machine(bytes: &[u8]) -> Option<&'static str> {
    // 64 bits, little-endian, the one version there is.
    if bytes.get(..7)? != b"\x7fELF\x02\x01\x01" {
        return None;
    }
    match u16::from_le_bytes(bytes.get(18..20)?.try_into().ok()?) {
        0x3e => Some("x86_64"),
        0xb7 => Some("aarch64"),
        _ => Some("another processor"),
    }
}

/// Whether one of its program headers names a loader.
fn loader(bytes: &[u8]) -> Option<bool> {
    let u16_at = |at: usize| Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    let start = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (u16_at(54)?, u16_at(56)?);
    for n in 0..count {
        let at = start.checked_add(size.checked_mul(n)?)?;
        let kind = bytes.get(at..at.checked_add(4)?)?;
        if u32::from_le_bytes(kind.try_into().ok()?) == INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of headers alone.
    fn program(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(kinds.len()).unwrap().to_le_bytes());
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn static_and_for_the_right_processor() {
        let check = |bytes: &[u8], arch: &str, expected: Result<(), &str>| {
            assert_eq!(must_be(bytes, arch).as_ref().map_err(String::as_str).copied(), expected);
        };
        check(&program(0x3e, &[6, 1, 1]), "x86_64", Ok(()));
        check(&program(0xb7, &[1]), "aarch64", Ok(()));
        check(&program(0xb7, &[1]), "x86_64", Err("it is for aarch64, not for x86_64"));
        check(&program(0x15, &[1]), "x86_64", Err("it is for another processor, not for x86_64"));
        let dynamic = "it is not static: it asks for a loader of shared libraries";
        check(&program(0x3e, &[6, 3, 1]), "x86_64", Err(dynamic));
        let cut = &program(0x3e, &[6, 1])[..100];
        check(cut, "x86_64", Err("its program headers cannot be read"));
        check(b"#!/bin/sh", "x86_64", Err("it is no 64-bit little-endian ELF program"));
        check(b"", "x86_64", Err("it is no 64-bit little-endian ELF program"));
    }
}
