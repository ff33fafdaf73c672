//! [`Users`]: the objects that use a watch, counted. Plain data.

use std::collections::HashMap;

use clientmgr_kube::NamespacedName;

/// The objects that use something, by name. Two of one name, one of them deleted and created again, count as two.
#[derive(Debug, Default)]
pub(super) struct Users(HashMap<NamespacedName, usize>);

impl Users {
    pub(super) fn add(&mut self, object: &NamespacedName) {
        *self.0.entry(object.clone()).or_default() += 1;
    }

    pub(super) fn remove(&mut self, object: &NamespacedName) {
        if let Some(count) = self.0.get_mut(object) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(object);
            }
        }
    }

    pub(super) fn contains(&self, object: &NamespacedName) -> bool {
        self.0.contains_key(object)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &NamespacedName> {
        self.0.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{NamespacedName, Users};

    #[test]
    fn an_object_is_gone_when_the_last_of_its_name_is_removed() {
        let (mut users, a) = (Users::default(), NamespacedName::from("a"));
        users.add(&a);
        users.add(&a);
        users.remove(&a);
        assert!(users.contains(&a) && users.len() == 1);
        users.remove(&a);
        users.remove(&a);
        assert!(!users.contains(&a) && users.len() == 0 && users.iter().next().is_none());
    }
}
