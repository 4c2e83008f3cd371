//! EDUs in recorded transactions.

use std::collections::BTreeSet;

use comity_core::{api::SendTransaction, auth::XMatrixCredentials, call::Endpoint};

use crate::{recording::exchanges, requests::call};

#[test]
fn every_edu_is_read_by_its_type_speaks_for_its_sender_and_is_written_the_same() {
    let mut types = BTreeSet::new();
    for exchange in exchanges() {
        let call = call(&exchange).unwrap();
        if call.spec().name != "SendTransaction" {
            continue;
        }
        let headers = exchange.credentials.iter().map(String::as_bytes);
        let credentials = XMatrixCredentials::from_headers(headers).unwrap();
        let transaction = SendTransaction::read(call.form().unwrap().parts()).unwrap();
        for edu in transaction.edus.unwrap_or_default() {
            let edu = edu.unwrap();
            let edu_type = edu.edu_type().unwrap();
            let known = edu.known().unwrap();
            let known = known.unwrap_or_else(|| panic!("nobody knows {edu_type}"));
            edu.check_origin(credentials.origin()).unwrap();
            assert_eq!(known.write(), edu.content().unwrap(), "{edu_type}");
            types.insert(edu_type);
        }
    }
    assert_eq!(
        types.into_iter().collect::<Vec<_>>(),
        [
            "m.direct_to_device",
            "m.presence",
            "m.receipt",
            "m.signing_key_update",
            "m.typing",
            "org.matrix.signing_key_update",
        ]
    );
}
