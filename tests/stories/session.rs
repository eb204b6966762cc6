//! A paid session on one plug.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::What;
use tests::{Story, start};

#[tokio::test]
async fn a_session_powers_its_plug_and_cuts_it_on_time() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut story = Story::new(encoding).await?;
        let _agent = story.agent().await?;
        let command = story.send(start("s-1", 2_000)).await?;
        assert_eq!(story.answer(&command).await?, Ok(()));
        let started = story.told("session.started").await?;
        assert!(story.plug.is_on(1));
        assert!(story.plug.lease_remaining(1).is_some());
        let ended = story.told("session.ended").await?;
        assert!(!story.plug.is_on(1));
        let (What::SessionStarted(started), What::SessionEnded(ended)) = (started.what, ended.what)
        else {
            unreachable!("they were asked for by type")
        };
        assert!(ended.late_ms <= 1_000, "late by {} ms", ended.late_ms);
        assert!(ended.ended_at_ms >= started.ends_at_ms.unwrap(), "never early");
    }
    Ok(())
}
