//! The macro that makes a table of recipe fields into types.

/// How a stored field takes its value from the form: an optional one stays empty, any other has its default.
pub(super) trait FromForm<T> {
    fn from_form(value: Option<T>) -> Self;
}

impl<T> FromForm<T> for Option<T> {
    fn from_form(value: Self) -> Self {
        value
    }
}

impl<T: Default> FromForm<T> for T {
    fn from_form(value: Option<T>) -> Self {
        value.unwrap_or_default()
    }
}

/// Makes a table of recipe fields into the constant `FIELDS`, [`RenditionRequest`] (the form: every field optional) and
/// `Resize` (the stored recipe). A row without `=>` is part of the form only.
macro_rules! recipe_fields {
    (
        $(#[$resize_attribute:meta])*
        struct Resize;
        $(
            $name:ident: $form:ty, $example:literal, $description:literal
            $(=> $(#[$stored_attribute:meta])* $stored:ty)?;
        )+
    ) => {
        /// A rendition as a form requests it: every field is optional. [`RenditionRequest::set`] parses one field,
        /// [`RenditionRequest::validate`] checks them against each other.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct RenditionRequest {
            $(pub(super) $name: Option<<$form as FormValue>::Value>,)+
        }

        /// Every field of a recipe, in the order of the documentation.
        pub const FIELDS: &[Field] = &[
            $(Field {
                name: stringify!($name),
                description: $description,
                example: $example,
                schema: <$form as FormValue>::schema,
                set: |request, text| {
                    request.$name = <$form as FormValue>::parse(text);
                    request.$name.is_some()
                },
            },)+
        ];

        $(#[$resize_attribute])*
        pub struct Resize {
            $($(
                #[doc = $description]
                $(#[$stored_attribute])*
                pub $name: $stored,
            )?)+
        }

        impl RenditionRequest {
            /// Every field on its own: values or defaults, not checked against each other.
            pub(super) fn to_resize(&self) -> Resize {
                Resize {
                    $($($name: <$stored as FromForm<_>>::from_form(self.$name),)?)+
                }
            }
        }
    };
}

pub(super) use recipe_fields;
