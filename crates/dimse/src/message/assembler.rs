//! Puts the fragments of one direction of an association together into messages (PS3.8 Annex E):
//! a command, then its data set if it says so, all in one presentation context.

use crate::pdu::{Fragment, ProtocolError};

use super::CommandSet;

/// The IDs of the accepted presentation contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextSet([u64; 4]);

impl ContextSet {
    /// Adds an ID.
    pub fn insert(&mut self, id: u8) {
        if let Some(word) = self.0.get_mut(usize::from(id >> 6)) {
            *word |= 1 << (id & 63);
        }
    }

    /// Whether an ID is in the set.
    #[must_use]
    pub fn contains(&self, id: u8) -> bool {
        self.0.get(usize::from(id >> 6)).is_some_and(|word| word & (1 << (id & 63)) != 0)
    }
}

impl FromIterator<u8> for ContextSet {
    fn from_iter<I: IntoIterator<Item = u8>>(ids: I) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

/// What a fragment brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Part of a command; more is to come.
    Partial,
    /// A whole command; its data set follows if it says so.
    Command {
        /// The presentation context of the message.
        context: u8,
        /// The command.
        command: CommandSet,
    },
    /// Bytes of the data set of the last command.
    Data {
        /// The bytes; may be empty.
        bytes: &'a [u8],
        /// The data set, and with it the message, ends here.
        last: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Command { context: u8 },
    Data { context: u8 },
}

/// Checks the order of fragments; holds no more than one command set.
#[derive(Debug)]
pub struct Assembler {
    state: State,
    accepted: ContextSet,
    command: Vec<u8>,
    command_limit: usize,
}

impl Assembler {
    /// For an association with these accepted contexts and command sets of at most `command_limit` bytes.
    #[must_use]
    pub fn new(accepted: ContextSet, command_limit: usize) -> Self {
        Self { state: State::Between, accepted, command: Vec::new(), command_limit }
    }

    /// Whether no message has begun.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.state == State::Between
    }

    /// Takes the next fragment.
    ///
    /// # Errors
    /// [`ProtocolError`] when it has no place here; the association cannot go on after that.
    pub fn accept<'a>(&mut self, fragment: Fragment<'a>) -> Result<Piece<'a>, ProtocolError> {
        let context = fragment.context;
        if !self.accepted.contains(context) {
            return Err(ProtocolError::ContextNotAccepted(context));
        }
        match self.state {
            State::Command { context: begun } | State::Data { context: begun } if begun != context => {
                Err(ProtocolError::ContextChanged { begun, found: context })
            }
            State::Between | State::Command { .. } if !fragment.is_command => Err(ProtocolError::DataBeforeCommand),
            State::Data { .. } if fragment.is_command => Err(ProtocolError::CommandInsteadOfData),
            State::Between | State::Command { .. } => self.command(fragment),
            State::Data { .. } => {
                if fragment.ends_set {
                    self.state = State::Between;
                }
                Ok(Piece::Data { bytes: fragment.bytes, last: fragment.ends_set })
            }
        }
    }

    fn command(&mut self, fragment: Fragment<'_>) -> Result<Piece<'static>, ProtocolError> {
        let context = fragment.context;
        if self.command.len().saturating_add(fragment.bytes.len()) > self.command_limit {
            return Err(ProtocolError::CommandTooLong { limit: self.command_limit });
        }
        self.command.extend_from_slice(fragment.bytes);
        if !fragment.ends_set {
            self.state = State::Command { context };
            return Ok(Piece::Partial);
        }
        let command = CommandSet::parse(std::mem::take(&mut self.command))?;
        self.state = if command.has_data_set() { State::Data { context } } else { State::Between };
        Ok(Piece::Command { context, command })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{CommandWriter, NO_DATA_SET};
    use dicom_dictionary_std::tags;

    fn command(data_set_type: u16) -> Vec<u8> {
        CommandWriter::default()
            .number(tags::COMMAND_FIELD, 1)
            .number(tags::COMMAND_DATA_SET_TYPE, data_set_type)
            .finish()
    }

    fn fragment(context: u8, is_command: bool, ends_set: bool, bytes: &[u8]) -> Fragment<'_> {
        Fragment { context, is_command, ends_set, ends_value: true, bytes }
    }

    fn check(fragments: &[Fragment<'_>], expected: &ProtocolError) {
        let mut assembler = Assembler::new([1, 3, 255].into_iter().collect(), 128);
        let error = fragments.iter().find_map(|fragment| assembler.accept(*fragment).err());
        assert_eq!(error.as_ref(), Some(expected));
    }

    #[test]
    fn order_is_kept() {
        let with_data = command(1);
        check(&[fragment(5, true, true, &with_data)], &ProtocolError::ContextNotAccepted(5));
        check(&[fragment(0, true, true, &with_data)], &ProtocolError::ContextNotAccepted(0));
        check(&[fragment(1, false, true, b"")], &ProtocolError::DataBeforeCommand);
        check(&[fragment(1, true, false, b""), fragment(1, false, true, b"")], &ProtocolError::DataBeforeCommand);
        check(
            &[fragment(1, true, true, &with_data), fragment(3, false, true, b"")],
            &ProtocolError::ContextChanged { begun: 1, found: 3 },
        );
        check(
            &[fragment(1, true, true, &with_data), fragment(1, true, true, &with_data)],
            &ProtocolError::CommandInsteadOfData,
        );
        check(&[fragment(1, true, false, &[0; 129])], &ProtocolError::CommandTooLong { limit: 128 });
    }

    #[test]
    fn a_message_ends_with_its_data_set_if_it_has_one() {
        let mut assembler = Assembler::new([255].into_iter().collect(), 128);
        let (with_data, without) = (command(0), command(NO_DATA_SET));
        let (begin, end) = with_data.split_at(7);
        assert_eq!(assembler.accept(fragment(255, true, false, begin)), Ok(Piece::Partial));
        assert!(matches!(assembler.accept(fragment(255, true, true, end)), Ok(Piece::Command { context: 255, .. })));
        assert!(!assembler.is_between_messages());
        assert_eq!(assembler.accept(fragment(255, false, true, b"x")), Ok(Piece::Data { bytes: b"x", last: true }));
        assert!(assembler.accept(fragment(255, true, true, &without)).is_ok());
        assert!(assembler.is_between_messages());
    }
}
