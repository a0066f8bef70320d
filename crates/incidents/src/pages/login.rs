//! The sign-in page.

use maud::{Markup, html};

use super::frame::static_page;

/// The content of the sign-in page.
#[derive(Default)]
pub(crate) struct LoginForm<'a> {
    pub(crate) message: Option<&'static str>,
    pub(crate) error: Option<String>,
    pub(crate) email: &'a str,
    /// The page to go on to.
    pub(crate) next: &'a str,
}

pub(crate) fn login(form: &LoginForm<'_>) -> Markup {
    let content = html! {
        section.panel.login {
            h1 { "Sign in" }
            p.quiet { "The console is for operators." }
            @if let Some(message) = form.message { p.note role="status" { (message) } }
            @if let Some(error) = &form.error { p.error role="alert" { (error) } }
            form.stack method="post" action="/console/login" {
                input type="hidden" name="next" value=(form.next);
                label {
                    "E-mail"
                    input type="email" name="email" value=(form.email) autocomplete="username" required
                        autofocus[form.email.is_empty()];
                }
                label {
                    "Password"
                    input type="password" name="password" autocomplete="current-password" required
                        autofocus[!form.email.is_empty()];
                }
                button.primary { "Sign in" }
            }
        }
    };
    static_page("Sign in", &html! { a href="/" { "Status" } }, &content)
}
