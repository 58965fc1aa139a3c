//! What the book of records keeps, sums up and forgets.

use super::*;

fn audit() -> Audit {
    Audit::new(ServerName::new("admin-1").expect("a name"))
}

fn shown(audit: &Audit) -> Vec<(String, u64)> {
    let all = audit.all().into_iter();
    all.map(|kept| {
        (
            format!("{} {}", kept.record.action, kept.record.target)
                .trim()
                .to_owned(),
            kept.record.count,
        )
    })
    .collect()
}

fn send(to: &str) -> Entry {
    Entry::new("send to client", to, StatusCode::ACCEPTED)
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_caller_are_one_record_a_minute_and_changes_are_not() {
    let (audit, caller) = (audit(), Caller::demo());
    for client in ["client ann", "client bob", "client cid"] {
        audit.record(&caller, send(client));
        audit.record(&caller, Entry::new("disconnect", client, StatusCode::OK));
    }
    let one = |text: &str| (text.to_owned(), 1);
    let sum = ("send to client client ann".to_owned(), 3);
    let disconnected = [
        "disconnect client ann",
        "disconnect client bob",
        "disconnect client cid",
    ]
    .map(one);
    assert_eq!(shown(&audit), [&[sum.clone()][..], &disconnected].concat());
    // Other results are other sums.
    audit.record(&caller, Entry::new("send to client", "client x", StatusCode::NOT_FOUND));
    tokio::time::advance(SUMMED_FOR).await;
    audit.record(&caller, send("client dan"));
    assert_eq!(
        shown(&audit)[4..],
        [one("send to client client x"), one("send to client client dan")]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_again_and_again_pushes_nothing_out() {
    let (audit, caller) = (audit(), Caller::demo());
    audit.record(&caller, Entry::new("add node", "node redis-3", StatusCode::ACCEPTED));
    for _ in 0..5 * KEPT {
        audit.record(&caller, Entry::new("add node", "node redis-4", StatusCode::FORBIDDEN));
    }
    assert_eq!(
        shown(&audit),
        [
            ("add node node redis-3".to_owned(), 1),
            ("add node node redis-4".to_owned(), 5_000)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_is_rejected_with_ever_new_targets_pushes_out_only_its_own_rejections() {
    let (audit, viewer, operator) = (audit(), Caller::demo(), Caller::demo().called("ops"));
    let entry = |number: usize, status| Entry::new("drain", format!("server {number}"), status);
    audit.record(&operator, entry(0, StatusCode::OK));
    audit.record(&operator, entry(1, StatusCode::INTERNAL_SERVER_ERROR));
    audit.record(&operator, entry(2, StatusCode::NOT_FOUND));
    for number in 0..2 * KEPT {
        audit.record(&viewer, entry(number, StatusCode::FORBIDDEN));
    }
    let all = audit.all();
    assert_eq!(all.len(), 1 + KEPT_REJECTED);
    let of_operator = all.iter().filter(|kept| kept.record.caller.as_deref() == Some("ops"));
    let targets: Vec<_> = of_operator.map(|kept| kept.record.target.as_str()).collect();
    assert_eq!(targets, ["server 0", "server 1", "server 2"]);
    assert_eq!(all.last().map(|kept| kept.record.target.as_str()), Some("server 1999"));
    assert_eq!(
        audit.0.book.lock().sums.len(),
        KEPT_REJECTED,
        "sums end with their records"
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_are_bounded_however_many_addresses_they_have() {
    let (audit, caller) = (audit(), Caller::demo());
    audit.record(&caller, Entry::new("drain", "server ws-0", StatusCode::OK));
    for minute in 0..20_u32 {
        for address in 0..2_000_u32 {
            let address = IpAddr::from((minute * 10_000 + address).to_be_bytes());
            audit.stranger("wrong token", Some(address), StatusCode::UNAUTHORIZED);
        }
        tokio::time::advance(SUMMED_FOR).await;
        audit.0.book.lock().close(Instant::now().checked_sub(SUMMED_FOR));
    }
    let all = audit.all();
    assert_eq!(all.len(), 1 + KEPT_STRANGERS);
    assert_eq!(all[0].record.action, "drain");
    // Those that have no record of their own are one together.
    let others = all
        .iter()
        .filter(|kept| kept.record.caller.is_none() && kept.record.address.is_none());
    assert!(others.clone().count() >= 4);
    assert!(
        others
            .clone()
            .all(|kept| kept.record.count == 2_000 - STRANGERS_APART as u64),
        "{others:?}"
    );
    assert!(audit.0.book.lock().sums.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_records_are_bounded_and_the_oldest_go_first() {
    let (audit, caller) = (audit(), Caller::demo());
    let mut news = audit.subscribe();
    for number in 0..KEPT + 3 {
        audit.record(&caller, Entry::new("drain", number.to_string(), StatusCode::OK));
    }
    let all = shown(&audit);
    assert_eq!((all.len(), all[0].0.as_str()), (KEPT, "drain 3"));
    // A subscriber that is behind misses the oldest.
    assert!(news.recv().await.is_err() && news.recv().await.is_ok());
}
