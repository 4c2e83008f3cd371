//! How many destinations are remembered, and which.

use comity_core::{
    error::{Delivery, TransportErrorKind as Kind},
    transport::{SelectOptions, Transport},
};

use super::{
    GRPC, Two, prefer,
    wires::{Act, settle, version},
};

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let options = SelectOptions {
        capacity: 100,
        ..SelectOptions::default()
    };
    let two = Two::new(Vec::new(), options);
    two.select.set_policies(prefer(GRPC, false));
    for number in 0..2000 {
        let mut call = version();
        call.context_mut().destination = Some(format!("s{number}.example").parse().unwrap());
        two.select.send(call).await.unwrap();
    }
    settle().await;
    assert!(two.select.destinations().len() <= 200);
    let last = "s1999.example".parse().unwrap();
    assert!(two.select.destination(&last).await.is_some());
}

#[tokio::test]
async fn names_that_never_answer_push_out_none_that_did() {
    let options = SelectOptions {
        capacity: 100,
        ..SelectOptions::default()
    };
    let two = Two::new(Vec::new(), options);
    two.select.send(version()).await.unwrap();
    two.http.always(Act::Fail(Kind::Resolve, Delivery::NotSent));
    for number in 0..2000 {
        let mut call = version();
        call.context_mut().destination = Some(format!("s{number}.example").parse().unwrap());
        two.select.send(call).await.unwrap_err();
    }
    settle().await;
    let all = two.select.destinations();
    assert!((2..=100).contains(&all.len()), "{}", all.len());
    assert_eq!(two.status().await.bindings[0].calls, 1);
    // One of them is there after all, and is known for as long as the others.
    two.http.always(Act::Reply);
    for name in ["s1999.example", "s1998.example"] {
        let mut call = version();
        call.context_mut().destination = Some(name.parse().unwrap());
        two.select.send(call).await.unwrap();
        let status = two.select.destination(&name.parse().unwrap()).await;
        assert_eq!(status.unwrap().bindings[0].calls, 2);
    }
}
