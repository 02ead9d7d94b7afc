//! PURE. Whether an authority has signed something: signatures in ssh's own encoding, checked by OpenSSL.

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Signature};

/// Whether `signature` is `key`'s on `data`. Signatures with SHA-1 and keys of security devices are not accepted.
pub fn is_good(key: &KeyData, data: &[u8], signature: &Signature) -> bool {
    // OpenSSL fails where the signature is no signature at all.
    check(key, data, signature).unwrap_or(false)
}

fn check(key: &KeyData, data: &[u8], signature: &Signature) -> Result<bool, ErrorStack> {
    let bytes = signature.as_bytes();
    match (key, signature.algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => {
            let key = PKey::public_key_from_raw_bytes(&key.0, Id::ED25519)?;
            Verifier::new_without_digest(&key)?.verify_oneshot(bytes, data)
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let digest = match hash {
                HashAlg::Sha256 => MessageDigest::sha256(),
                HashAlg::Sha512 => MessageDigest::sha512(),
                _ => return Ok(false),
            };
            let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else {
                return Ok(false);
            };
            let key = Rsa::from_public_components(BigNum::from_slice(n)?, BigNum::from_slice(e)?)?;
            verify(&PKey::from_rsa(key)?, digest, data, bytes)
        }
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == curve => {
            let Some((r, s)) = two_numbers(bytes) else { return Ok(false) };
            let signature =
                EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?
                    .to_der()?;
            let (key, digest) = elliptic(key)?;
            verify(&key, digest, data, &signature)
        }
        _ => Ok(false),
    }
}

fn verify(
    key: &PKey<Public>,
    digest: MessageDigest,
    data: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    Verifier::new(digest, key)?.verify_oneshot(signature, data)
}

fn elliptic(key: &EcdsaPublicKey) -> Result<(PKey<Public>, MessageDigest), ErrorStack> {
    let (curve, digest) = match key.curve() {
        EcdsaCurve::NistP256 => (Nid::X9_62_PRIME256V1, MessageDigest::sha256()),
        EcdsaCurve::NistP384 => (Nid::SECP384R1, MessageDigest::sha384()),
        EcdsaCurve::NistP521 => (Nid::SECP521R1, MessageDigest::sha512()),
    };
    let group = EcGroup::from_curve_name(curve)?;
    let point = EcPoint::from_bytes(&group, key.as_sec1_bytes(), &mut *BigNumContext::new()?)?;
    Ok((PKey::from_ec_key(EcKey::from_public_key(&group, &point)?)?, digest))
}

/// The two numbers of an ecdsa signature, each with its length before it.
fn two_numbers(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = number(bytes)?;
    let (second, rest) = number(rest)?;
    rest.is_empty().then_some((first, second))
}

fn number(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
