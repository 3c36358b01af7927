use crate::tree::LeafIndex;

type Edit<'a, T> = Box<dyn FnOnce(&mut T) + 'a>;

/// A change that is made as often as there is something to change.
pub(super) type EditEach<'a, T> = Option<Box<dyn FnMut(&mut T) + 'a>>;

/// A change that is made for each new member.
pub(super) type EditOfLeaf<'a, T> = Option<Box<dyn FnMut(LeafIndex, &mut T) + 'a>>;

/// Changes that a test wants made, at the moment when there is something to change.
pub(super) struct Edits<'a, T>(Vec<Edit<'a, T>>);

impl<'a, T> Edits<'a, T> {
    pub(super) fn push(&mut self, edit: impl FnOnce(&mut T) + 'a) {
        self.0.push(Box::new(edit));
    }

    /// Makes the changes, once; whether there were any.
    pub(super) fn apply(&mut self, value: &mut T) -> bool {
        let edits = std::mem::take(&mut self.0);
        let any = !edits.is_empty();
        edits.into_iter().for_each(|edit| edit(value));
        any
    }
}

impl<T> Default for Edits<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
