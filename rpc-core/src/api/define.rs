//! What the table expands to: traits, routes, the list and the typed calls.

/// From rows to code: implements [`Operation`](crate::call::Operation) for each request, and writes one trait per group
/// (every method answering "unrecognized" by default), a function per group that gives its routes, `operations()`, and the trait
/// `Calls` with one typed method per operation for [`Client`](crate::Client).
#[macro_export]
macro_rules! define_operations {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty {
                    idempotency: $idempotency:ident $({ $($key:tt)* })?,
                    flow: $flow:ident,
                    reply: $shape:ident $({ $($arrays:tt)* })?,
                    limits: $limits:expr,
                    clocks: $clocks:expr,
                    errors: [$($status:literal $errcode:ident $when:literal),* $(,)?],
                    server_acl: $acl:ident,
                    editions: [$($edition:ident($since:literal.. $($until:literal)?)),* $(,)?] $(,)?
                }
            )*
        }
    )*) => {
        $($(
            impl $crate::call::Operation for $Request {
                type Reply = $Reply;
                const SPEC: &'static $crate::call::OperationSpec = &$crate::call::OperationSpec {
                    name: $crate::table_support::type_name(stringify!($Request)),
                    group: stringify!($Group),
                    authentication: $crate::authentication!($auth),
                    idempotency: $crate::call::Idempotency::$idempotency $({ $($key)* })?,
                    flow: $crate::call::Flow::$flow,
                    reply: $crate::call::ReplyShape::$shape $({ $($arrays)* })?,
                    limits: $limits,
                    clocks: $clocks,
                    errors: &[$( $crate::call::DocumentedError {
                        http_status: $status,
                        errcode: stringify!($errcode),
                        when: $when,
                    } ),*],
                    server_acl: $crate::call::AclDuty::$acl,
                    editions: &[$( $crate::call::EditionSpan {
                        edition: $crate::call::Edition::$edition,
                        since: $since,
                        until: $crate::until!($($until)?),
                    } ),*],
                };
            }
        )*)*

        $(
            $(#[$group_doc])*
            #[$crate::table_support::async_trait]
            pub trait $Group: Send + Sync + 'static {
                $(
                    $(#[$doc])*
                    ///
                    /// # Errors
                    /// What the receiver answers instead; by default 404 `M_UNRECOGNIZED`.
                    async fn $method(
                        &self,
                        cx: &$crate::context!($auth),
                        request: $Request,
                    ) -> Result<$Reply, $crate::error::FederationError> {
                        let _ = (cx, request);
                        Err($crate::error::FederationError::unrecognized())
                    }
                )*
            }

            /// The routes of this group, to register with a [`Router`](crate::Router).
            pub fn $routes<S: $Group>(service: ::std::sync::Arc<S>) -> Vec<$crate::Route> {
                vec![$(
                    $crate::Route::new::<S, $Request, $crate::context!($auth), _>(
                        service.clone(),
                        |service, cx, request| service.$method(cx, request),
                    )
                ),*]
            }
        )*

        /// Every operation of this list.
        pub fn operations() -> Vec<$crate::call::Op> {
            vec![$($( $crate::call::operation::<$Request>() ),*),*]
        }

        /// One typed method for each operation of this list.
        pub trait Calls {
            /// The client that sends them.
            fn client(&self) -> &$crate::Client;

            $($(
                $(#[$doc])*
                ///
                /// # Errors
                /// The peer's answer if it is an error, or what happened on the way.
                fn $method(
                    &self,
                    destination: &$crate::ServerName,
                    request: $Request,
                ) -> impl ::core::future::Future<Output = Result<$Reply, $crate::error::CallError>> + Send {
                    self.client().call(destination, request)
                }
            )*)*
        }

        impl Calls for $crate::Client {
            fn client(&self) -> &$crate::Client {
                self
            }
        }
    };
}

/// The end of a row's span of an edition.
#[doc(hidden)]
#[macro_export]
macro_rules! until {
    () => {
        None
    };
    ($until:literal) => {
        Some($until)
    };
}

/// A row's word for who is authenticated, as a value.
#[doc(hidden)]
#[macro_export]
macro_rules! authentication {
    (none) => {
        $crate::call::Authentication::None
    };
    (server) => {
        $crate::call::Authentication::Server
    };
    (token) => {
        $crate::call::Authentication::AccessToken
    };
}

/// A row's word for who is authenticated, as the type of context that its handler gets.
#[doc(hidden)]
#[macro_export]
macro_rules! context {
    (server) => {
        $crate::call::Authenticated
    };
    ($other:ident) => {
        $crate::call::CallContext
    };
}
