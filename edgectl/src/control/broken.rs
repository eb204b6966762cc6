//! Why a connection broke, read out of rumqttc's errors.

use std::error::Error;

use rumqttc::v5::mqttbytes::Error as Mqtt;
use rumqttc::v5::mqttbytes::v5::DisconnectReasonCode;
use rumqttc::v5::{ConnectionError, StateError};

/// Whether the broker gave the connection to another client of the same id.
pub(super) fn taken_over(error: &ConnectionError) -> bool {
    let taken = DisconnectReasonCode::SessionTakenOver;
    matches!(
        error,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
            if *reason_code == taken
    )
}

/// Who does not trust whom, where that is why there is no connection.
pub(super) fn distrust(error: &ConnectionError) -> Option<String> {
    // These two keep their cause to themselves.
    if let ConnectionError::MqttState(
        StateError::Io(error) | StateError::Deserialization(Mqtt::Io(error)),
    ) = error
    {
        return tls(error);
    }
    if let ConnectionError::ConnectionRefused(code) = error {
        return Some(format!("refuses this client: {code:?}"));
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(reason) = tls(error) {
            return Some(reason);
        }
        cause = error.source();
    }
    None
}

/// What TLS says is wrong, where this error is of its making.
fn tls(error: &(dyn Error + 'static)) -> Option<String> {
    // An I/O error shows what is in it to nobody who only asks for its source.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let inner = inner.map(|inner| inner as &(dyn Error + 'static));
    let tls = [Some(error), inner].into_iter().flatten();
    let tls = tls.filter_map(|error| error.downcast_ref::<rustls::Error>()).next()?;
    Some(if let rustls::Error::AlertReceived(alert) = tls {
        format!("does not take our certificate: {alert:?}")
    } else {
        format!("its certificate is not to be trusted: {tls}")
    })
}

/// An error and its causes, joined. Some of rumqttc's say their cause themselves: it is not said twice.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_cause_that_an_error_has_said_itself_is_not_said_again() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let told = chain(&ConnectionError::Io(refused()));
        assert_eq!(told.matches("connection refused").count(), 1, "{told}");
        let told = chain(&ConnectionError::Tls(rumqttc::TlsError::Io(refused())));
        assert_eq!(told.matches("connection refused").count(), 1, "{told}");
    }
}
