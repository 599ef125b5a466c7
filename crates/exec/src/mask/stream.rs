//! Masks output that arrives in pieces: a secret may begin in one and end in the next.

use std::sync::Arc;

use super::{MASK, Masker};

/// Masks one stream. Holds back only what might be the beginning of a secret.
#[derive(Debug)]
pub(crate) struct StreamMasker {
    masker: Arc<Masker>,
    held: Vec<u8>,
    /// So many of the held bytes belong to a secret whose mask was already written.
    covered: usize,
}

impl StreamMasker {
    /// A masker for one stream.
    pub(crate) fn new(masker: Arc<Masker>) -> Self {
        Self { masker, held: Vec::new(), covered: 0 }
    }

    /// Takes a piece of output and appends what may be shown of it so far to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        self.drain(false, out);
    }

    /// Appends the rest to `out`: the stream has ended.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.drain(true, out);
    }

    fn drain(&mut self, ended: bool, out: &mut Vec<u8>) {
        let set = self.masker.forms();
        let keep_from = if ended { self.held.len() } else { set.open_end(&self.held) };
        let mut done = self.covered;
        for (start, end) in set.spans(&self.held) {
            if start < done {
                // Goes on from a secret whose mask is already written.
                done = done.max(end);
                continue;
            }
            if start >= keep_from {
                break;
            }
            out.extend_from_slice(&self.held[done..start]);
            out.extend_from_slice(MASK.as_bytes());
            done = end;
        }
        if done < keep_from {
            out.extend_from_slice(&self.held[done..keep_from]);
            done = keep_from;
        }
        self.held.drain(..keep_from);
        self.covered = done - keep_from;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn streamed(masker: &Arc<Masker>, pieces: &[&[u8]]) -> String {
        let mut stream = StreamMasker::new(Arc::clone(masker));
        let mut out = Vec::new();
        for piece in pieces {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let mut stream = StreamMasker::new(Arc::new(Masker::new(["secret"])));
        let mut out = Vec::new();
        stream.push(b"progress 50%\nse", &mut out);
        assert_eq!(out, b"progress 50%\n");
        stream.push(b"t\n", &mut out);
        assert_eq!(out, b"progress 50%\nset\n");
    }

    #[test]
    fn a_secret_over_three_pieces_is_masked() {
        let masker = Arc::new(Masker::new(["two\nlines of secret"]));
        assert_eq!(streamed(&masker, &[b"a two", b"\nlines of", b" secret b"]), "a *** b");
    }

    proptest! {
        // However the output is cut, it looks as if it had come in one piece.
        #[test]
        fn cuts_make_no_difference(
            text in "[abc]{0,60}",
            secrets in proptest::collection::vec("[abc]{3,6}", 1..4),
            cuts in proptest::collection::vec(0_usize..60, 0..8),
        ) {
            let masker = Arc::new(Masker::new(secrets.iter().map(String::as_str)));
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
            let shown = streamed(&masker, &pieces);
            prop_assert_eq!(&shown, &masker.text(&text));
            for secret in &secrets {
                prop_assert!(!shown.contains(secret.as_str()));
            }
        }
    }
}
