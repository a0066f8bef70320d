//! Mail over SMTP, to a test server on a real socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::config::Mail;
use auth::mailer::Mailer;
use serde_json::json;
use sqlx::PgPool;
use testkit::eventually;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::TestApp;

const ADA: &str = "ada@example.org";

/// The server's answer to `RCPT TO`, one for each mail; afterwards it accepts all mail.
#[derive(Clone, Copy)]
enum Mood {
    /// `451`: mailbox full, a temporary failure.
    Busy,
    /// `550`: a permanent failure.
    Refuse,
    /// Closes the connection after the whole mail, before it acknowledges it.
    Vanish,
}

#[derive(Default)]
struct Seen {
    commands: Vec<String>,
    mails: Vec<String>,
    moods: VecDeque<Mood>,
}

/// A mail server. Cheap to clone.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Seen>>);

impl Server {
    /// Listens on this port, or on a free one for 0; returns the port.
    async fn listen(&self, port: u16) -> u16 {
        let socket = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = socket.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.talk(client).await.ok() });
            }
        });
        port
    }

    async fn talk(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = client.split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 test ESMTP\r\n").await?;
        let mut vanish = false;
        while let Some(line) = lines.next_line().await? {
            self.0.lock().unwrap().commands.push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-test\r\n250 8BITMIME\r\n",
                "RCPT" => match self.0.lock().unwrap().moods.pop_front() {
                    Some(Mood::Busy) => "451 4.2.2 <ada@example.org> mailbox full\r\n",
                    Some(Mood::Refuse) => "550 5.1.1 <ada@example.org> no such user\r\n",
                    Some(Mood::Vanish) => {
                        vanish = true;
                        "250 ok\r\n"
                    }
                    None => "250 ok\r\n",
                },
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    self.0.lock().unwrap().mails.push(mail);
                    if std::mem::take(&mut vanish) {
                        return Ok(());
                    }
                    "250 queued\r\n"
                }
                "QUIT" => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            write.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }

    fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.0.lock().unwrap().moods.extend(moods);
    }

    fn mails(&self) -> Vec<String> {
        self.0.lock().unwrap().mails.clone()
    }

    fn heard(&self, verb: &str) -> usize {
        self.0.lock().unwrap().commands.iter().filter(|line| line.starts_with(verb)).count()
    }

    async fn got(&self, mails: usize) -> Vec<String> {
        eventually(Duration::from_secs(20), || async {
            let got = self.mails();
            (got.len() >= mails).then_some(got)
        })
        .await
    }
}

/// auth, with mail delivery to this URL.
async fn deliver(db: PgPool, url: String) -> (TestApp, DropGuard) {
    let app = TestApp::new(db).await;
    let config = Mail {
        smtp_url: Some(url.into()),
        mail_sink_dir: None,
        mail_from: "Accounts <auth@example.org>".to_owned(),
    };
    let (mailer, stop) = (Mailer::new(&config).unwrap(), CancellationToken::new());
    tokio::spawn(app.auth.clone().deliver_mail(mailer, stop.clone()));
    (app, stop.drop_guard())
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_code_arrives_by_smtp_and_opens_what_it_is_for(db: PgPool) {
    let server = Server::default();
    let port = server.listen(0).await;
    let (app, _stop) = deliver(db, format!("smtp://127.0.0.1:{port}")).await;
    app.register(ADA).await.expect(202);
    let mail = server.got(1).await.remove(0);
    assert_eq!(header(&mail, "To"), ADA);
    assert_eq!(header(&mail, "From"), "Accounts <auth@example.org>");
    assert_eq!(header(&mail, "Subject"), "Is this your address?");
    assert!(!header(&mail, "Date").is_empty(), "{mail}");
    assert_eq!(server.heard("RCPT TO:<ada@example.org>"), 1);
    assert_eq!(server.heard("MAIL FROM:<auth@example.org>"), 1);

    let code = &mail.split("Your code is ").nth(1).unwrap()[..11];
    let body = json!({ "email": ADA, "code": code, "password": "whatever Ada wants now" });
    app.api.post("/v1/verification").key("k").json(body).send().await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_server_that_is_away_or_busy_gets_the_same_mail_later(db: PgPool) {
    let server = Server::default();
    let (port, _) = testkit::grpc::free_port().await;
    let (app, _stop) = deliver(db, format!("smtp://127.0.0.1:{port}")).await;
    app.register(ADA).await.expect(202);
    let tried = || async {
        let sql = "SELECT count(*) FROM outbox_event WHERE attempts > 0 AND delivered_at IS NULL";
        let tried: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
        (tried == 1).then_some(())
    };
    eventually(Duration::from_secs(10), tried).await;

    server.next([Mood::Busy, Mood::Vanish]);
    server.listen(port).await;
    // The mail without acknowledgment is sent again with the same `Message-ID`, so a mailbox shows it once.
    let mails = server.got(2).await;
    assert_eq!(header(&mails[0], "Message-ID"), header(&mails[1], "Message-ID"));
    assert!(header(&mails[0], "Message-ID").ends_with("@auth>"), "{mails:?}");
    assert!(server.heard("RCPT") >= 3);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_a_server_says_about_an_address_is_not_kept(db: PgPool) {
    let server = Server::default();
    let port = server.listen(0).await;
    server.next([Mood::Refuse, Mood::Busy]);
    let (app, _stop) = deliver(db, format!("smtp://127.0.0.1:{port}")).await;
    app.register(ADA).await.expect(202);
    let failed = || async {
        let sql = "SELECT t::text FROM outbox_event t WHERE attempts > 0";
        sqlx::query_scalar::<_, String>(sql).fetch_optional(&app.db).await.unwrap()
    };
    let row = eventually(Duration::from_secs(10), failed).await;
    assert!(!row.contains("ada@") && !row.contains("550"), "{row}");
    server.got(1).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_mail_that_is_refused_for_good_is_soon_given_up_and_a_busy_server_is_not(db: PgPool) {
    let server = Server::default();
    let port = server.listen(0).await;
    let (app, _stop) = deliver(db, format!("smtp://127.0.0.1:{port}")).await;
    for (mood, says) in [(Mood::Refuse, "refused"), (Mood::Busy, "failed")] {
        server.next([mood]);
        let email = format!("{says}@example.org");
        app.register(&email).await.expect(202);
        let failed = || async {
            let sql = "SELECT last_error FROM outbox_event WHERE last_error = $1";
            sqlx::query(sql).bind(says).fetch_optional(&app.db).await.unwrap()
        };
        eventually(Duration::from_secs(10), failed).await;
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn where_tls_is_required_nothing_is_said_without_it(db: PgPool) {
    let server = Server::default();
    let port = server.listen(0).await;
    let (app, _stop) = deliver(db, format!("smtp://127.0.0.1:{port}?tls=required")).await;
    app.register(ADA).await.expect(202);
    eventually(Duration::from_secs(10), || async { (server.heard("EHLO") > 0).then_some(()) })
        .await;
    eventually(Duration::from_secs(10), || async {
        let sql = "SELECT count(*) FROM outbox_event WHERE attempts > 0";
        let tried: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
        (tried > 0).then_some(())
    })
    .await;
    assert_eq!((server.heard("MAIL"), server.heard("RCPT"), server.mails().len()), (0, 0, 0));
}

#[test]
fn a_url_that_is_none_is_not_quoted() {
    let config = Mail {
        smtp_url: Some("smtps:/user:geheim@host".to_owned().into()),
        mail_sink_dir: None,
        mail_from: "auth@example.org".to_owned(),
    };
    let error = Mailer::new(&config).err().unwrap();
    assert!(!format!("{error:#}").contains("geheim"), "{error:#}");
}
