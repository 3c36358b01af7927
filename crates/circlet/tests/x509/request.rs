use circlet::identity::Signer;

use crate::certificates::{ED25519, P256, P384, P521, key};
use crate::der::{bits, object, sequence};

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

/// The SubjectPublicKeyInfo of a key, for a certificate request: as RFC 8410 section 4 and RFC 5480
/// section 2.1 have it.
#[test]
fn a_key_has_a_form_for_certificates() {
    let curve = |curve| vec![object(EC_PUBLIC_KEY), object(curve)];
    for (suite, algorithm) in [
        (ED25519, vec![object("1.3.101.112")]),
        (P256, curve("1.2.840.10045.3.1.7")),
        (P384, curve("1.3.132.0.34")),
        (P521, curve("1.3.132.0.35")),
    ] {
        let key = key(suite, 1);
        let expected = sequence(&[sequence(&algorithm), bits(key.public_key().as_bytes())]);
        assert_eq!(key.public_key_der().unwrap(), expected, "{suite:?}");
    }
}
