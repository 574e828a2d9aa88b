//! The tokens of a statement, with what isn't SQL put right: ids and names of event data stores without quotes, and types
//! such as `array(varchar)`.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::Lake;
use super::error::QueryError;
use super::source::Source;

/// Splits a statement. `names` are those of the event data stores.
pub(super) fn tokens(source: Source<'_>, names: &[String]) -> Result<Vec<TokenWithSpan>, QueryError> {
    let tokens = Tokenizer::new(&Lake, source.0)
        .tokenize_with_location()
        .map_err(|error| QueryError::invalid(error.message).at(source.place_at(error.location)))?;
    let offsets = source.offsets(&tokens);
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let length = bare_name(source.0, offsets[index], &token.token, &out, names);
        // A name ends where a token does.
        let behind = length.and_then(|length| offsets.binary_search(&(offsets[index] + length)).ok());
        match behind.filter(|behind| *behind > index) {
            Some(behind) => {
                let value = source.0[offsets[index]..offsets[behind]].to_owned();
                let span = Span::new(token.span.start, tokens[behind - 1].span.end);
                let word = Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword };
                out.push(TokenWithSpan::new(Token::Word(word), span));
                index = behind;
            }
            None => {
                out.push(token.clone());
                index += 1;
            }
        }
    }
    array_types(&mut out);
    Ok(out)
}

/// The length of the id or name that begins with this token, if the parser would not take it for one identifier.
fn bare_name(text: &str, at: usize, token: &Token, before: &[TokenWithSpan], names: &[String]) -> Option<usize> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => {}
        Token::Number(..) => {}
        _ => return None,
    }
    let rest = &text[at..];
    let ends = |length: usize| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !rest.as_bytes().get(length).is_some_and(is_part)
    };
    if is_uuid(rest) && ends(UUID_LENGTH) {
        return Some(UUID_LENGTH);
    }
    let names_a_table = before.iter().rfind(|token| !matches!(token.token, Token::Whitespace(_)));
    match names_a_table.map(|token| &token.token) {
        Some(Token::Word(word)) if matches!(word.keyword, Keyword::FROM | Keyword::JOIN) => {}
        _ => return None,
    }
    let is_here =
        |name: &&String| rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name)) && ends(name.len());
    names.iter().filter(is_here).map(String::len).max()
}

const UUID_LENGTH: usize = 36;

/// Whether the text begins with a UUID, `1234abcd-12ab-34cd-56ef-1234567890ab`.
fn is_uuid(text: &str) -> bool {
    let is_right = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() >= UUID_LENGTH && text.bytes().take(UUID_LENGTH).enumerate().all(is_right)
}

/// Turns the parentheses of Trino's `CAST(x AS array(varchar))` into the angle brackets that the parser knows.
fn array_types(tokens: &mut [TokenWithSpan]) {
    let significant: Vec<usize> =
        (0..tokens.len()).filter(|index| !matches!(tokens[*index].token, Token::Whitespace(_))).collect();
    let keyword = |token: &Token| match token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    for window in 1..significant.len().saturating_sub(1) {
        let [before, array, open] = [window - 1, window, window + 1].map(|index| significant[index]);
        let is_type = keyword(&tokens[before].token) == Keyword::AS || tokens[before].token == Token::Lt;
        if !is_type || keyword(&tokens[array].token) != Keyword::ARRAY || tokens[open].token != Token::LParen {
            continue;
        }
        let mut depth = 0_usize;
        let close = significant[window + 1..].iter().copied().find(|index| {
            match tokens[*index].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        if let Some(close) = close {
            tokens[open].token = Token::Lt;
            tokens[close].token = Token::Gt;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str, names: &[&str]) -> String {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        tokens(Source(text), &names).unwrap().iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn ids_without_quotes_are_names_whatever_their_digits() {
        for id in [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "00000000-0000-0000-0000-000000000000",
            "123e4567-e89b-12d3-a456-426614174000",
            "EEEEEEEE-1e10-9e99-0e00-1e1e1e1e1e1e",
        ] {
            assert_eq!(joined(&format!("SELECT 1 FROM {id} WHERE a"), &[]), format!("SELECT 1 FROM \"{id}\" WHERE a"));
            assert_eq!(joined(&format!("SELECT '{id}' -- {id}"), &[]), format!("SELECT '{id}' -- {id}"));
        }
    }

    #[test]
    fn names_with_dashes_and_dots_are_names_behind_from_and_join() {
        let names = ["my-store", "my", "a.b_2-c"];
        assert_eq!(joined("SELECT my-store FROM My-Store", &names), "SELECT my-store FROM \"My-Store\"");
        assert_eq!(joined("FROM x JOIN a.b_2-c ON", &names), "FROM x JOIN \"a.b_2-c\" ON");
        assert_eq!(joined("FROM my-stores", &names), "FROM my-stores");
    }

    #[test]
    fn array_types_have_angle_brackets() {
        assert_eq!(joined("CAST(x AS array(varchar(10)))", &[]), "CAST(x AS array<varchar(10)>)");
        assert_eq!(joined("CAST(x AS ARRAY (array(json)))", &[]), "CAST(x AS ARRAY <array<json>>)");
        assert_eq!(joined("array(1) + f(array (2))", &[]), "array(1) + f(array (2))");
    }
}
