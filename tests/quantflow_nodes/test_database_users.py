"""The address of a user holds the admin's hosts and options, and nothing by which the admin signs in."""

import pytest

from quantflow_nodes.database_users import user_uri
from schemas.errors import InputError

ADMIN = "authSource=admin", "tlsCertificateKeyFile=/admin.pem", "tlsCertificateKeyFilePassword=hunter2"
AT_A_PROXY = "proxyHost=p", "proxyUsername=adm", "proxyPassword=hunter2"


@pytest.mark.parametrize("separator", ["&", ";"])
def test_nothing_of_the_admin_gets_into_a_users_address(separator: str) -> None:
    """Neither a password, nor the file of a key; hosts, TLS and the way through a proxy stay."""
    options = separator.join(["tls=true", *ADMIN, *AT_A_PROXY])
    made = user_uri(f"mongodb://root:hunter2@a:1,b:2/admin?{options}", "quant", "research", "p@ss")
    assert made == "mongodb://research:p%40ss@a:1,b:2/?tls=true&proxyHost=p&authSource=quant"


def test_an_admin_with_a_certificate_has_no_password_to_go_by() -> None:
    """How others would sign in can not be told from it."""
    with pytest.raises(InputError, match="signs in by a certificate"):
        user_uri("mongodb://a/?authMechanism=MONGODB-X509&tlsCertificateKeyFile=/c.pem", "quant", "research", "p")
