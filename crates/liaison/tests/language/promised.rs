//! Names and shapes of the first recipe anybody sees: they check against the connectors as they are shipped.

use recipe::{Severity, parse_and_check};

use crate::told;

const RECIPE: &str = "\
liaison: 1
recipe: paid-invoice
connections: { pay: stripe, sf: salesforce }
trigger:
  from: pay.event
  with: { types: [invoice.paid] }
  if: trigger.data.object.amount_paid > 100
  dedupe: { by: \"${ trigger.id }\", for: 30d }
settings:
  concurrency: { limit: 1, key: \"${ trigger.data.object.customer }\" }
  label: \"${ trigger.data.object.number }\"
steps:
  - id: account
    do: sf.query
    with:
      soql: \"SELECT Id FROM Account WHERE Stripe_Id__c = :customer\"
      params: { customer: \"${ trigger.data.object.customer }\" }
  - id: known
    choose:
      - when: steps.account.total_size == 0
        steps:
          - { id: unknown, fail: \"No account for ${ trigger.data.object.customer }\" }
  - id: opportunity
    do: sf.upsert
    with:
      object: Opportunity
      external_id: { Stripe_Invoice__c: \"${ trigger.data.object.id }\" }
      fields:
        AccountId: ${ $.steps.account.records[0].Id }
        Amount: ${ trigger.data.object.amount_paid / 100 }
        StageName: Closed Won
    undo:
      do: sf.delete
      with: { object: Opportunity, id: \"${ steps.opportunity.id }\" }
  - id: end
    return: { created: \"${ steps.opportunity.created }\" }
";

fn problems(text: &str) -> String {
    let shipped = engine::catalogue::of(&connectors::all());
    let found = parse_and_check(text.as_bytes(), &shipped).diagnostics;
    told(text.as_bytes(), &found)
}

#[test]
fn the_first_recipe_checks_against_the_real_connectors() {
    assert_eq!(problems(RECIPE), "");
}

#[test]
fn what_does_not_fit_the_real_connectors_is_told() {
    for (old, new, word) in [
        ("external_id: {", "external_ids: {", "Did you mean \"external_id\"?"),
        (":customer\"", "${ trigger.id }\"", "`:customer`"),
        ("steps.account.total_size", "steps.account.totalSize", "total_size"),
        (
            "external_id: { Stripe_Invoice__c: \"${ trigger.data.object.id }\" }",
            "external_id: {}",
            "\"external_id\" has at least 1 field, but 0 fields were read.",
        ),
        ("sf.upsert", "sf.upser", "Did you mean \"upsert\"?"),
    ] {
        assert_eq!(RECIPE.matches(old).count(), 1, "{old}");
        let said = problems(&RECIPE.replace(old, new));
        assert!(said.contains(word), "{new}:\n{said}");
    }
    let many = RECIPE.replace("[invoice.paid]", &format!("[{}]", vec!["invoice.paid"; 21].join(", ")));
    assert!(problems(&many).contains("\"types\" has at most 20 items, but 21 items were read."), "{}", problems(&many));
    let shipped = engine::catalogue::of(&connectors::all());
    let spliced = RECIPE.replace("= :customer", "= '${ trigger.id }'");
    let found = parse_and_check(spliced.as_bytes(), &shipped).diagnostics;
    assert!(found.iter().any(|problem| problem.code == "L0604" && problem.severity == Severity::Error), "{found:?}");
}
