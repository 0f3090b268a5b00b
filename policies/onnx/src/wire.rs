//! The bytes of a file as protobuf frames them. The runtime's reader believes every length in a
//! file, and ends the process when there is no memory for one; here they are held to the bytes
//! that there are, before it reads them.

/// A message of onnx.proto that the reader reads, or any that has no message in it.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    SequenceType,
    Shape,
    Leaf,
}

/// Levels of messages in messages; a network without control flow has seven.
const MAX_DEPTH: u32 = 100;

impl Message {
    /// The message in a field.
    fn inner(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::Value,
            (Self::Node, 5) => Self::Attribute,
            (Self::Value, 2) | (Self::SequenceType, 1) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::Type, 4) => Self::SequenceType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Leaf,
            _ => return None,
        })
    }
}

/// True if these are the bytes of a model, framed as protobuf, to their end.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    walk(bytes, Message::Model, MAX_DEPTH).is_some()
}

/// Walks through the fields of a message.
fn walk(mut bytes: &[u8], message: Message, depth: u32) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (content, rest) = bytes.split_at_checked(length)?;
        if let Some(inner) = message.inner(tag >> 3) {
            // Anything but bytes there is not a message.
            if tag & 7 != 2 {
                return None;
            }
            walk(content, inner, depth)?;
        }
        bytes = rest;
    }
    Some(())
}

/// Takes a number of variable length.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_held_to_the_bytes_there_are() {
        // Field 7 of 4 bytes: a graph with a node (field 1) of 2 bytes.
        assert!(is_whole(&[0x3a, 4, 0x0a, 2, 0x0a, 0]));
        assert!(!is_whole(&[0x3a, 5, 0x0a, 2, 0x0a, 0]));
        assert!(!is_whole(&[0x3a, 4, 0x0a, 3, 0x0a, 0]));
        assert!(!is_whole(&[0x3a, 4, 0x0a, 2, 0x0a, 1]));
        // What the reader skips is skipped.
        assert!(is_whole(&[0x6a, 2, 0xff, 0xff, 0x08, 0x80, 1]));
        assert!(!is_whole(&[0x08, 0x80]));
    }

    #[test]
    fn messages_in_messages_end_somewhere() {
        let nested = |levels: usize| {
            let mut bytes = Vec::new();
            for _ in 0..levels {
                // A graph in an attribute in a node in a graph.
                for tag in [0x32, 0x2a, 0x0a] {
                    let mut outer = vec![tag];
                    let mut length = bytes.len();
                    while length >= 0x80 {
                        outer.push(length as u8 | 0x80);
                        length >>= 7;
                    }
                    outer.push(length as u8);
                    outer.append(&mut bytes);
                    bytes = outer;
                }
            }
            let length = bytes.len();
            let mut model = vec![0x3a, length as u8 | 0x80, (length >> 7) as u8 | 0x80];
            model.push((length >> 14) as u8);
            model.append(&mut bytes);
            model
        };
        assert!(is_whole(&nested(30)));
        assert!(!is_whole(&nested(1000)));
    }
}
