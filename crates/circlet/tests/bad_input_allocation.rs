//! No input makes a decoder allocate more than a small multiple of its own length. A program of
//! its own, since it counts every allocation.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

#[path = "bad_input/conversation.rs"]
#[allow(dead_code, reason = "each program uses its part")]
mod conversation;
mod crypto_support;
#[path = "bad_input/samples.rs"]
mod samples;
#[path = "bad_input/wire_types.rs"]
mod wire_types;

use circlet::codec::{DecodeContext, Writer};
use circlet::crypto::CipherSuite;
use circlet::group::HandshakeFormat;
use wire_types::WireType;

/// The greatest multiple of the input that is held at any one time.
const MULTIPLE: u64 = 64;
/// What is held for the smallest input: nodes of trees and the like.
const CONSTANT: u64 = 4096;

/// How much is held at most while bytes are read.
fn peak(wire_type: &WireType, bytes: &[u8], context: &DecodeContext) -> u64 {
    let info = allocation_counter::measure(|| {
        (wire_type.read)(bytes, context);
    });
    assert_eq!(info.bytes_current, 0, "{} keeps memory", wire_type.name);
    info.bytes_max
}

fn assert_bounded(wire_type: &WireType, bytes: &[u8], context: &DecodeContext) {
    let peak = peak(wire_type, bytes, context);
    let length = bytes.len() as u64;
    let bound = MULTIPLE * length + CONSTANT;
    assert!(peak <= bound, "{}: {peak} bytes for {length}", wire_type.name);
}

/// Limits that stop nothing, so that it is the decoders that are measured.
fn context() -> DecodeContext {
    let mut context = wire_types::context();
    context.limits.leaves = 1 << 31;
    context.limits.proposals = usize::MAX;
    context.limits.extensions = usize::MAX;
    context.limits.psks = usize::MAX;
    context
}

#[test]
fn a_length_that_is_not_there_is_not_allocated() {
    let (context, types) = (context(), wire_types::all());
    let bombs: [&[u8]; 3] = [&[0xbf, 0xff, 0xff, 0xff], &[0x80, 0, 0x40, 0], &[0x7f, 0xff]];
    for sample in samples::all() {
        for cut in 0..sample.len().min(400) {
            let bytes = [&sample[..cut], bombs[cut % 3]].concat();
            for wire_type in &types {
                assert_bounded(wire_type, &bytes, &context);
            }
        }
    }
}

/// V-2.1.2-08, V-12.4.3.3-07.
#[test]
fn many_small_items_take_a_small_multiple() {
    let (context, types) = (context(), wire_types::all());
    let mut worst = (0.0, String::new());
    for (name, what, make) in lists() {
        let wire_type = types.iter().find(|wire_type| wire_type.name == name).unwrap();
        for count in [1, 2, 3, 5, 16, 257, 4097, 16_385] {
            let bytes = make(count);
            let read = (wire_type.read)(&bytes, &context);
            // A path is no longer than a tree is deep.
            let readable = !what.starts_with("not") && (name != "UpdatePath" || count < 32);
            assert!(read || !readable, "{name} of {count} {what}");
            let peak = peak(wire_type, &bytes, &context);
            let multiple = peak.saturating_sub(CONSTANT) as f64 / bytes.len() as f64;
            if multiple > worst.0 {
                worst = (multiple, format!("{name} of {count} {what}"));
            }
            println!("{multiple:5.1} {name} of {count} {what}");
            assert_bounded(wire_type, &bytes, &context);
        }
    }
    println!("worst: {:.1} times the input, {}", worst.0, worst.1);
}

/// Within the default limits the same is true, and lists that are too long end early.
#[test]
fn lists_over_their_limits_are_not_read_to_the_end() {
    let (context, types) = (DecodeContext::default(), wire_types::all());
    for (name, what, make) in lists() {
        let wire_type = types.iter().find(|wire_type| wire_type.name == name).unwrap();
        assert_bounded(wire_type, &make(70_000), &context);
        println!("{name} of {what}");
    }
}

/// A client reads what it is given before it knows from whom it is.
#[test]
fn a_client_holds_no_more_than_a_decoder() {
    let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
    let c = conversation::Conversation::new(suite, HandshakeFormat::Private);
    let frame = |format: u8, body: Vec<u8>| [&[0, 1, 0, format], body.as_slice()].concat();
    let content = |commit: &[u8]| {
        // Group, epoch, sender, no authenticated data, content type; then signature and tags.
        let head = b"\x05group\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\x03";
        [head.as_slice(), commit, &[0, 0, 0]].concat()
    };
    for (name, format) in [("Welcome", 3), ("KeyPackage", 5), ("Commit", 1)] {
        for (_, what, make) in lists().iter().filter(|(of, _, _)| *of == name) {
            let body = make(20_000);
            let bytes = frame(format, if name == "Commit" { content(&body) } else { body });
            let info = allocation_counter::measure(|| {
                assert!(c.bob.client.receive(&bytes).is_err(), "{name} of {what}");
            });
            let bound = MULTIPLE * bytes.len() as u64 + 4 * CONSTANT;
            assert!(info.bytes_max <= bound, "{name} of {what}: {}", info.bytes_max);
        }
    }
}

type List = (&'static str, &'static str, Box<dyn Fn(usize) -> Vec<u8>>);

/// `opaque<V>`.
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.opaque(bytes);
    writer.finish().unwrap()
}

/// A leaf of 13 bytes, with the list in its credential, capabilities or extensions.
fn leaf(credential: &[u8], capabilities: &[u8], extensions: &[u8]) -> Vec<u8> {
    [&[0, 0], credential, capabilities, &[2], extensions, &[0]].concat()
}

const BASIC: &[u8] = &[0, 1, 0];
const NOTHING: &[u8] = &[0, 0, 0, 0, 0];

fn smallest_leaf() -> Vec<u8> {
    leaf(BASIC, NOTHING, &[0])
}

fn key_package(leaf: &[u8], extensions: &[u8]) -> Vec<u8> {
    [&[0, 1, 0, 1, 0], leaf, extensions, &[0]].concat()
}

fn smallest_key_package() -> Vec<u8> {
    key_package(&smallest_leaf(), &[0])
}

/// As many extensions of different types, without content.
fn extensions(count: usize) -> Vec<u8> {
    let types = (0..count.min(65_536)).map(|number| (number as u16).to_be_bytes());
    opaque(&types.flat_map(|[a, b]| [a, b, 0]).collect::<Vec<u8>>())
}

fn node(content: &[u8]) -> Vec<u8> {
    [&[1], content].concat()
}

/// Lists of the smallest items that there are, by what reads them.
fn lists() -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    let mut add = |name, what, head: &[u8], item: &[u8], tail: &[u8]| {
        let (head, item, tail) = (head.to_vec(), item.to_vec(), tail.to_vec());
        let make =
            move |count| [head.as_slice(), &opaque(&item.repeat(count)), tail.as_slice()].concat();
        lists.push((name, what, Box::new(make)));
    };
    add("Capabilities", "versions", &[], &[0, 0], &[0; 4]);
    add("Capabilities", "cipher suites", &[0; 1], &[0, 0], &[0; 3]);
    add("Capabilities", "extensions", &[0; 2], &[0, 0], &[0; 2]);
    add("Capabilities", "proposals", &[0; 3], &[0, 0], &[0; 1]);
    add("Capabilities", "credentials", &[0; 4], &[0, 0], &[]);
    add("RequiredCapabilities", "extensions", &[], &[0, 0], &[0; 2]);
    add("Credential", "empty certificates", &[0, 2], &[0], &[]);
    add("Credential", "certificates of a byte", &[0, 2], &[1, 7], &[]);
    add("UpdatePathNode", "ciphertexts", &[0], &[0, 0], &[]);
    let small = smallest_leaf();
    add("UpdatePath", "nodes", &small, &[0, 0], &[]);
    add("UpdatePath", "nodes with a ciphertext", &small, &[0, 2, 0, 0], &[]);
    add("UpdatePath", "nodes with two ciphertexts", &small, &[0, 4, 0, 0, 0, 0], &[]);
    add("Welcome", "secrets", &[0, 1], &[0, 0, 0], &[0]);
    add("Welcome", "secrets of a byte", &[0, 1], &[1, 7, 1, 7, 1, 7], &[0]);
    add("ParentNode", "unmerged leaves", &[0, 0], &[0; 4], &[]);
    add("GroupSecrets", "pre-shared keys", &[0, 0], &[1, 0, 0], &[]);
    let resumption = [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    add("GroupSecrets", "resumption keys", &[0, 0], &resumption, &[]);
    let extensions_of_one = [3, 0, 9, 0];
    let certificate = [0, 2, 1, 0];
    let proposals: [(&str, Vec<u8>); 11] = [
        ("references", vec![2, 0]),
        ("references of a byte", vec![2, 1, 7]),
        ("removals", vec![1, 0, 3, 0, 0, 0, 0]),
        ("external inits", vec![1, 0, 6, 0]),
        ("external inits of a byte", vec![1, 0, 6, 1, 7]),
        ("extensions", vec![1, 0, 7, 0]),
        ("lists of an extension", [&[1, 0, 7], extensions_of_one.as_slice()].concat()),
        ("pre-shared keys", vec![1, 0, 4, 1, 0, 0]),
        ("custom proposals", vec![1, 0xf0, 1, 0]),
        ("additions", [&[1, 0, 1], smallest_key_package().as_slice()].concat()),
        ("updates", [&[1, 0, 2], small.as_slice()].concat()),
    ];
    for (what, proposal) in &proposals {
        let custom = *what == "custom proposals";
        add("Commit", if custom { "not always custom" } else { what }, &[], proposal, &[0]);
        add("private commit", what, &[], proposal, &[0, 0, 0]);
    }
    let full_leaf = leaf(&certificate, &[2, 0, 1].repeat(5), &extensions_of_one);
    add("RatchetTree", "not only blanks", &[], &[0], &[]);
    add("RatchetTree", "not only parents", &[], &node(&[2, 0, 0, 0]), &[]);
    add("RatchetTree", "not only leaves", &[], &node(&[&[1], small.as_slice()].concat()), &[]);
    for (what, leaf) in [("small leaves", &small), ("full leaves", &full_leaf)] {
        for (parent, node_between) in [(0, vec![0]), (1, node(&[2, 0, 0, 0]))] {
            // Between leaves come parents, none after the last.
            let (leaf, between) = (node(&[&[1], leaf.as_slice()].concat()), node_between);
            let make = move |count: usize| {
                let rest = [between.as_slice(), &leaf].concat().repeat(count);
                opaque(&[leaf.as_slice(), &rest].concat())
            };
            lists.push(("RatchetTree", what, Box::new(make)));
            let _ = parent;
        }
    }
    for distance in [2, 3, 4, 8, 16, 64] {
        let leaf = node(&[&[1], small.as_slice()].concat());
        let make = move |count: usize| {
            let rest = [&vec![0; 2 * distance - 1], leaf.as_slice()].concat().repeat(count);
            opaque(&[leaf.as_slice(), &rest].concat())
        };
        lists.push(("RatchetTree", "leaves with blanks between", Box::new(make)));
    }
    lists.push(("Extensions", "types", Box::new(extensions)));
    let of_key_package = |count| key_package(&smallest_leaf(), &extensions(count));
    lists.push(("KeyPackage", "extensions", Box::new(of_key_package)));
    let of_leaf = |count| leaf(BASIC, NOTHING, &extensions(count));
    lists.push(("LeafNode", "extensions", Box::new(of_leaf)));
    let chain =
        |count| leaf(&[&[0, 2], opaque(&vec![0; count]).as_slice()].concat(), NOTHING, &[0]);
    lists.push(("LeafNode", "certificates", Box::new(chain)));
    let of_key_package = move |count| key_package(&chain(count), &[0]);
    lists.push(("KeyPackage", "certificates", Box::new(of_key_package)));
    lists
}
