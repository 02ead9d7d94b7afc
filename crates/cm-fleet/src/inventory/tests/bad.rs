//! What is said of bad files.

use super::said;

#[test]
fn one() {
    insta::assert_snapshot!(said(&[("fleet.yaml", "
hosts:
  a: {identiy: x, prot: 22, user: -x, port: 99999}
  a: {}
  'b[1-': {labels: {zone: 'e u', v: 1.10}}
  漢字: {slots: \"3\", slots: 4}
")]), @"");
}
