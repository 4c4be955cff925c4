use super::*;

#[test]
fn every_role_is_read_by_its_word() {
    for role in Role::ALL {
        assert_eq!(Role::read(role.word()), Ok(role));
    }
    let told = Role::read("sealer").expect_err("there is no such role");
    assert!(told.contains("sealer") && told.contains("seal, dispatcher"), "{told}");
}
