//! `edgectl` as an operator uses it, against a real broker and a real node: one file a chapter.

mod try_it;
