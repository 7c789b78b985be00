"""`headgate migrate` brings a database up to date."""


def test_a_dry_run_says_what_a_run_then_does(run):
    planned = run("migrate", "--dry-run").output
    assert "to apply  0001_ledger" in planned
    assert run("migrate").output == planned.replace("to apply", "applied")
    assert run("migrate").output == "The schema is up to date.\n"


def test_a_database_that_cannot_be_opened_is_a_sentence(run, here):
    (here / ".headgate").write_text("a file in the way")
    result = run("migrate")
    assert result.exit_code == 1
    assert result.stderr == "Error: the database cannot be opened: File exists\n"
