//! Stories of a site, each told from outside: one file a chapter.

mod session;
