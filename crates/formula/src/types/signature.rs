//! What functions take and give, as kinds.

use super::shape::{ALL, BOOLEAN, INNER, Kinds, LIST, NULL, NUMBER, RECORD, TEXT, Type, WHOLE};

/// The kinds a function takes and gives. The last parameter stands for all that follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    params: &'static [Kinds],
    gives: Kinds,
}

impl Signature {
    pub(super) fn takes(&self, place: usize) -> Kinds {
        self.params.get(place).or(self.params.last()).copied().unwrap_or(ALL)
    }

    pub(super) const fn gives(&self) -> Type {
        Type::of(self.gives)
    }
}

/// In words: what a parameter takes.
pub(super) fn wanted(takes: Kinds) -> String {
    match takes {
        INNER => "a closure such as |x| x.name".to_owned(),
        SELECTOR => "a closure such as |x| x.name, or a path such as \"name\",".to_owned(),
        takes => Type::of(takes).describe(),
    }
}

const SELECTOR: Kinds = INNER | TEXT;
const WORD: Kinds = TEXT | NUMBER | BOOLEAN;

/// The signature of a function.
pub(super) fn of(name: &str) -> Option<Signature> {
    let (params, gives): (&'static [Kinds], Kinds) = match name {
        "upper" | "lower" | "trim" | "base64" | "from_base64" | "url_encode" | "url_decode" => (&[TEXT], TEXT),
        "len" => (&[TEXT | LIST | RECORD], WHOLE),
        "contains" => (&[TEXT | LIST | RECORD, ALL], BOOLEAN),
        "starts_with" | "ends_with" => (&[TEXT], BOOLEAN),
        "replace" => (&[TEXT], TEXT),
        "split" => (&[TEXT], LIST),
        "join" => (&[LIST, TEXT], TEXT),
        "substring" => (&[TEXT, WHOLE], TEXT),
        "pad" => (&[WORD, WHOLE, TEXT], TEXT),
        "to_text" => (&[WORD], TEXT),
        "round" => (&[NUMBER, WHOLE], NUMBER),
        "abs" => (&[NUMBER], NUMBER),
        "floor" | "ceil" => (&[NUMBER], WHOLE),
        "min" | "max" => (&[ALL], ALL),
        "to_number" => (&[TEXT | NUMBER], NUMBER),
        "map" | "sort_by" => (&[LIST, SELECTOR], LIST),
        "filter" => (&[LIST, INNER], LIST),
        "find" => (&[LIST, INNER], ALL),
        "any" | "all" => (&[LIST, INNER], BOOLEAN),
        "reduce" => (&[LIST, ALL, INNER], ALL),
        "where" => (&[LIST, TEXT, TEXT, ALL], LIST),
        "pluck" => (&[LIST, TEXT], LIST),
        "sum" => (&[LIST, TEXT], NUMBER),
        "average" => (&[LIST, TEXT], NUMBER | NULL),
        "count" => (&[LIST, INNER], WHOLE),
        "first" | "last" => (&[LIST], ALL),
        "slice" => (&[LIST, WHOLE], LIST),
        "sort" | "reverse" | "flatten" => (&[LIST], LIST),
        "unique" => (&[LIST, SELECTOR], LIST),
        "group_by" => (&[LIST, SELECTOR], RECORD),
        "keys" | "values" | "entries" => (&[RECORD], LIST),
        "from_entries" => (&[LIST], RECORD),
        "pick" | "omit" => (&[RECORD, LIST | TEXT], RECORD),
        "merge" => (&[RECORD | NULL], RECORD),
        "get" => (&[ALL, TEXT, ALL], ALL),
        "has" => (&[RECORD, TEXT], BOOLEAN),
        "present" | "is_text" | "is_number" | "is_list" | "is_record" => (&[ALL], BOOLEAN),
        "default" | "remove" => (&[ALL], ALL),
        "json" => (&[ALL], TEXT),
        "parse_json" => (&[TEXT], ALL),
        "now" => (&[], TEXT),
        "push" | "clear" => (&[LIST, ALL], NULL),
        "pop" => (&[LIST], ALL),
        "insert" => (&[LIST, WHOLE, ALL], NULL),
        _ => return None,
    };
    Some(Signature { params, gives })
}
