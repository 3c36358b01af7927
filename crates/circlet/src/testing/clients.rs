use crate::client::{Client, Group};
use crate::crypto::CipherSuite;
use crate::error::Error;
use crate::storage::MemoryStorage;

use super::{FixedClock, SeededRng};

/// Clients in one group, with all that they were made of.
#[derive(Debug)]
pub struct TestClients {
    /// The clients `m0`, `m1` and so on.
    pub clients: Vec<Client>,
    /// Each one's handle of the group.
    pub groups: Vec<Group>,
    /// Each one's store; see [`dump`](super::dump).
    pub stores: Vec<MemoryStorage>,
    /// The clock that they all look at.
    pub clock: FixedClock,
}

/// So many clients with seeded generators and stores in memory, all in one group, which the first
/// has made and added the others to.
///
/// ```
/// use circlet::crypto::CipherSuite;
/// use circlet::testing::{clients, dump};
///
/// # fn main() -> Result<(), circlet::Error> {
/// let test = clients(CipherSuite(1), 3)?;
/// let mut wire = test.groups[0].send(b"hello")?.as_bytes().to_vec();
/// *wire.last_mut().unwrap() ^= 1; // on its way something happens to it
/// let before = dump(&test.stores[1])?;
/// assert!(test.groups[1].receive(&wire).is_err());
/// assert!(dump(&test.stores[1])? == before);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The suite is not supported by the default provider.
pub fn clients(suite: CipherSuite, size: usize) -> Result<TestClients, Error> {
    let clock = FixedClock::default();
    let (mut clients, mut stores) = (Vec::new(), Vec::new());
    for i in 0..size {
        let store = MemoryStorage::new();
        let client = Client::builder(format!("m{i}"))
            .cipher_suite(suite)
            .storage(store.clone())
            .rng(SeededRng::new(1000 + i as u64))
            .clock(clock.clone())
            .build()?;
        clients.push(client);
        stores.push(store);
    }
    let mut groups = Vec::new();
    if let Some((first, others)) = clients.split_first() {
        let group = first.create_group()?;
        groups.push(group.clone());
        if !others.is_empty() {
            let key_packages =
                others.iter().map(Client::key_package).collect::<Result<Vec<_>, _>>()?;
            let welcome = group.invite(key_packages)?.confirm()?.welcome();
            for client in others {
                groups.push(client.join(&welcome)?);
            }
        }
    }
    Ok(TestClients { clients, groups, stores, clock })
}
