//! Types and their documentation, read from the source: what the compiler does not hand to a macro.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Expr, Fields, ImplItem, Item, Lit, Meta, Type};

/// Every type of the API's source, and the numbers that their documentation names.
#[derive(Default)]
pub(super) struct Source {
    pub(super) structs: BTreeMap<String, Struct>,
    pub(super) enums: BTreeMap<String, Enum>,
    pub(super) aliases: BTreeMap<String, Alias>,
    /// `SendTransaction::MAX_PDUS` and its value.
    numbers: BTreeMap<String, String>,
}

pub(super) struct Struct {
    pub(super) docs: String,
    pub(super) fields: Vec<Field>,
}

pub(super) struct Enum {
    pub(super) variants: Vec<Variant>,
}

pub(super) struct Variant {
    pub(super) name: String,
    pub(super) docs: String,
    /// Without a name if the variant is a tuple.
    pub(super) fields: Vec<Field>,
}

pub(super) struct Field {
    pub(super) name: String,
    pub(super) docs: String,
    pub(super) ty: Type,
}

pub(super) struct Alias {
    pub(super) docs: String,
    pub(super) parameters: Vec<String>,
    pub(super) ty: Type,
}

impl Source {
    /// Reads Rust files, and every Rust file of folders and the folders in them.
    pub(super) fn read(paths: &[&Path]) -> Result<Self, Box<dyn Error>> {
        let mut source = Self::default();
        let mut left: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        while let Some(path) = left.pop() {
            if path.is_dir() {
                for entry in fs::read_dir(path)? {
                    let path = entry?.path();
                    if path.is_dir() || path.extension().is_some_and(|end| end == "rs") {
                        left.push(path);
                    }
                }
            } else {
                source.add(&fs::read_to_string(path)?)?;
            }
        }
        Ok(source)
    }

    /// Adds the types of one file.
    pub(super) fn add(&mut self, text: &str) -> syn::Result<()> {
        for item in syn::parse_file(text)?.items {
            match item {
                Item::Struct(item) => {
                    let found = Struct {
                        docs: docs(&item.attrs),
                        fields: fields(item.fields),
                    };
                    self.structs.insert(item.ident.to_string(), found);
                }
                Item::Enum(item) => {
                    let variants = item.variants.into_iter().map(|variant| Variant {
                        name: variant.ident.to_string(),
                        docs: docs(&variant.attrs),
                        fields: fields(variant.fields),
                    });
                    let variants = variants.collect();
                    self.enums.insert(item.ident.to_string(), Enum { variants });
                }
                Item::Type(item) => {
                    let parameters = item.generics.type_params();
                    let found = Alias {
                        docs: docs(&item.attrs),
                        parameters: parameters.map(|one| one.ident.to_string()).collect(),
                        ty: *item.ty,
                    };
                    self.aliases.insert(item.ident.to_string(), found);
                }
                Item::Impl(item) => {
                    let Type::Path(owner) = &*item.self_ty else {
                        continue;
                    };
                    let owner = owner
                        .path
                        .segments
                        .last()
                        .map(|name| name.ident.to_string());
                    for constant in item.items {
                        if let (ImplItem::Const(constant), Some(owner)) = (constant, &owner)
                            && let Expr::Lit(value) = constant.expr
                            && let Lit::Int(value) = value.lit
                        {
                            let name = format!("{owner}::{}", constant.ident);
                            self.numbers.insert(name, value.base10_digits().to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A documentation's text for a reader who knows no Rust, by paragraph: up to its first heading, with the values of the constants
    /// that it names.
    ///
    /// # Errors
    /// There is none, or it names another item of the code.
    pub(super) fn prose(&self, of: &str, docs: &str) -> Result<Vec<String>, String> {
        let text = docs.split("\n#").next().unwrap_or_default();
        let mut paragraphs = Vec::new();
        for paragraph in text.split("\n\n") {
            let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            let paragraph = paragraph.replace("SS \"", "server-server specification, \"");
            if !paragraph.is_empty() {
                paragraphs.push(self.without_links(of, &paragraph)?);
            }
        }
        if paragraphs.is_empty() {
            return Err(format!("{of} has no documentation"));
        }
        Ok(paragraphs)
    }

    fn without_links(&self, of: &str, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, link)) = rest.split_once("[`") {
            let (name, after) = link
                .split_once("`]")
                .ok_or_else(|| format!("the documentation of {of} has half a link"))?;
            let number = self.numbers.get(name).ok_or_else(|| {
                format!(
                    "the documentation of {of} names `{name}`, which means nothing without Rust: say it in words, or below a heading"
                )
            })?;
            out += before;
            out += number;
            rest = after;
        }
        Ok(out + rest)
    }
}

fn fields(fields: Fields) -> Vec<Field> {
    let fields = fields.into_iter().map(|field| Field {
        name: field.ident.map(|name| name.to_string()).unwrap_or_default(),
        docs: docs(&field.attrs),
        ty: field.ty,
    });
    fields.collect()
}

fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        match &pair.value {
            Expr::Lit(text) if pair.path.is_ident("doc") => match &text.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
