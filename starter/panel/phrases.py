"""All that the panel says of its own, by the names that templates call it. French is in starter/texts.

The host's words for refusals, stages and events are not here: they are the same everywhere (`starter.texts`).
"""

from collections.abc import Callable, Mapping
from typing import Final

from starter.texts import N_

PHRASES: Final[Mapping[str, str]] = {
    "error": N_("Error"),
    "colon": N_(": "),
    "skip": N_("Skip to the content"),
    "main_menu": N_("Main menu"),
    "language": N_("Language"),
    "you_are_here": N_("You are here"),
    "my_services": N_("My services"),
    "sign_in": N_("Sign in"),
    "sign_out": N_("Sign out"),
    "back": N_("Back"),
    "none": N_("none"),
    "refresh": N_("Refresh"),
    "bad_request": N_("This form cannot be read"),
    "bad_request_advice": N_("Go back, reload the page and try again. Nothing was changed."),
    "signed_out": N_("You are not signed in"),
    "signed_out_advice": N_(
        "Your session is over, or there was none. Come in again from your host's customer area."
    ),
    "not_from_here": N_("This request was refused"),
    "not_from_here_advice": N_(
        "It did not come from a page of this panel, so nothing was done. Open the page again and "
        "repeat what you wanted."
    ),
    "not_found": N_("Page not found"),
    "not_found_advice": N_(
        "There is no such page, or it is not yours. After a service has expired its changes can be "
        "seen again once it is renewed."
    ),
    "engine_down": N_("Not available at the moment"),
    "engine_down_advice": N_(
        "Plan changes cannot be carried on at the moment; nothing is lost. Try again in a few seconds."
    ),
    "broken": N_("Something went wrong"),
    "broken_advice": N_("The mistake is ours. What you had confirmed is safe; try again in a moment."),
    "link_over": N_("This link is no longer valid"),
    "link_over_advice": N_(
        "A link opens the panel once, and for a minute only. Ask for a new one in your host's customer area."
    ),
    "engine_away": N_(
        "Nothing is lost. Wait a few seconds, then press the button again: it stays one and the same change."
    ),
    "demo_title": N_("Try it as a sample customer"),
    "demo_lead": N_(
        "Each customer is in another situation. Nothing here is real, but everything really happens: "
        "servers, mails and codes."
    ),
    "demo_none": N_("There are no sample customers here."),
    "demo_expired": N_("expired: has to be renewed first"),
    "demo_paypal": N_("PayPal subscription active"),
    "demo_recent": N_("changed last week"),
    "demo_flexi": N_("Flexi+ option"),
    "demo_pass": N_("instant-change pass"),
    "demo_marked": N_("servers marked for deletion"),
    "demo_waiting": N_("a change waits for its code"),
    "demo_stuck": N_("a deletion waits for an operator"),
    "no_service": N_("You do not rent anything at the moment."),
    "expired": N_("Expired"),
    "expires_at": N_("Expires on"),
    "expired_at": N_("Expired on"),
    "change_is": N_("Plan change: {stage}"),
    "see_change": N_("See the change"),
    "next_change": N_("Next plan change"),
    "possible_now": N_("possible now"),
    "plan_change": N_("Plan change"),
    "renew": N_("Renew"),
    "history": N_("History"),
    "options": N_("Options"),
    "price": N_("Price"),
    "per_30_days": N_("{price} for 30 days"),
    "servers": N_("Servers"),
    "mark": N_("DELETE"),
    "unmark": N_("Undo the mark"),
    "marking_is_safe": N_(
        "Marking a server for deletion destroys nothing yet. Only a confirmed plan change does."
    ),
    "what_is_lost": N_(
        "What is lost for good: the server's data, all its backups, and its address. No one can "
        "bring them back. Nothing is destroyed before you confirm."
    ),
    "steps": N_("Steps"),
    "step_configuration": N_("Configuration"),
    "step_recap": N_("Recap"),
    "step_code": N_("Code"),
    "step_carrying_out": N_("Carrying out"),
    "offer": N_("Offer"),
    "present_offer": N_("present offer"),
    "offer_price": N_("{base} per server + {slot} per slot"),
    "slot_price": N_("{slot} per slot"),
    "slots_per_server": N_("Slots per server"),
    "server_count": N_("Number of servers"),
    "price_per_server": N_("+ {price} per server"),
    "price_per_service": N_("+ {price} for the service"),
    "quote": N_("What the change would do"),
    "choose_first": N_("Choose another configuration: the days it leaves are shown here."),
    "after_change": N_("After this change you will have"),
    "would_leave": N_("This change would leave you"),
    "today": N_("Today"),
    "new_expiry": N_("New expiry"),
    "spends_pass": N_("Your instant-change pass is spent by this change."),
    "calculate": N_("Work out"),
    "go_on": N_("Go on to the recap"),
    "nothing_yet": N_("Nothing is changed before you confirm."),
    "quote_failed": N_("It could not be worked out. Reload the page, or go on to the recap."),
    "servers_to_give_up": N_("Servers to give up"),
    "give_up_lead": N_(
        "To have fewer servers, mark the ones you give up. A mark can be undone until you confirm."
    ),
    "mark_servers": N_("Mark servers for deletion"),
    "change_marks": N_("Change the marks"),
    "choose_again": N_("Choose again"),
    "recap_title": N_("Recap of your change"),
    "compare": N_("Old and new configuration, side by side"),
    "before": N_("Before"),
    "after": N_("After"),
    "price_30_days": N_("Price for 30 days"),
    "days_left_label": N_("Days left"),
    "expiry": N_("Expiry"),
    "kept_title": N_("What you keep"),
    "your_agreement": N_("Your agreement"),
    "ack_no_refund": N_(
        "I understand that nothing is refunded, not even in tokens, and that there is no way back "
        "after the confirmation."
    ),
    "tick_all": N_("Tick every box to confirm:"),
    "tick_this": N_("Tick this box to confirm."),
    "code_will_come": N_(
        "A code will be mailed to {address}. The change is made only when you have typed it."
    ),
    "confirm_changes": N_("Confirm my changes"),
    "alter": N_("Alter the configuration"),
    "code_title": N_("Type the code from the mail"),
    "code_lead": N_("The code goes to {address}. Nothing has been changed so far."),
    "code": N_("Code"),
    "code_hint": N_("Eight letters. Small letters, spaces and dashes do not matter."),
    "confirm_code": N_("Confirm the plan change"),
    "being_mailed": N_("The code is being mailed…"),
    "code_locked": N_("This code is void after too many wrong tries. Ask for a new one."),
    "code_expired": N_("This code is no longer valid. Ask for a new one."),
    "code_valid_until": N_("The code is valid until"),
    "left": N_("Time left"),
    "resend": N_("Send a new code"),
    "resend_from": N_("Possible from"),
    "no_further_code": N_("No further code can be sent for this change."),
    "window_until": N_("This change can be confirmed until"),
    "what_is_confirmed": N_("What you are about to confirm"),
    "cancel_lead": N_("Changed your mind? Cancelling changes nothing at all."),
    "cancel": N_("Cancel this change"),
    "notice_renewed": N_("The service is renewed."),
    "notice_resent": N_("A new code was asked for; only the newest one is valid."),
    "progress_title": N_("Your change is being carried out"),
    "progress_lead": N_(
        "It is confirmed. You can close this page: everything goes on by itself, and you will get a "
        "mail at the end."
    ),
    "going_on": N_("in progress"),
    "waiting_for_team": N_("Our team has been told and takes care of it. You need not do anything."),
    "what_was_confirmed": N_("What you confirmed"),
    "what_was_asked": N_("What was asked for"),
    "what_happened": N_("What happened"),
    "outcome_completed": N_("Your change is done"),
    "outcome_abandoned": N_("The change was not made"),
    "outcome_rejected": N_("The change was refused"),
    "outcome_good_lead": N_("The new configuration is in force."),
    "nothing_changed": N_(
        "Nothing was changed: not the offer, not the expiry, not the servers. Nothing was spent or destroyed."
    ),
    "why": N_("Why"),
    "marks_stay": N_("The servers are still marked for deletion; you can undo that."),
    "reference": N_("Reference"),
    "ended_at": N_("Ended on"),
    "you_have_now": N_("What you have now"),
    "spent_pass": N_("An instant-change pass was spent."),
    "back_to_service": N_("Back to the service"),
    "start_again": N_("Start again"),
    "history_empty": N_("There has been no plan change yet."),
    "history_expired": N_("The history is shown while a service has not expired. Renew it to see it again."),
    "renew_days": N_("Days to add"),
    "renew_hint": N_("They are added to the present expiry."),
    "renew_hint_over": N_("They count from now."),
    "renew_wrong": N_("Give a whole number of days, from 1 to {most}."),
    "renew_now": N_("Renew the service"),
}


Counted = Callable[..., str]

COUNTED: Final[Mapping[str, Counted]] = {
    "slots": lambda t, n, **figures: t.plural("{n} slot", "{n} slots", n, **figures),
    "servers": lambda t, n, **figures: t.plural("{n} server", "{n} servers", n, **figures),
    "servers_of": lambda t, n, **figures: t.plural(
        "{n} server of {slots}", "{n} servers of {slots}", n, **figures
    ),
    "servers_now": lambda t, n, **figures: t.plural("{n} at present", "{n} at present", n, **figures),
    "backups": lambda t, n, **figures: t.plural("{n} backup", "{n} backups", n, **figures),
    "days": lambda t, n, **figures: t.plural("{n} day", "{n} days", n, **figures),
    "days_left": lambda t, n, **figures: t.plural("{n} day left", "{n} days left", n, **figures),
    "you_have": lambda t, n, **figures: t.plural(
        "You have {n} day left.", "You have {n} days left.", n, **figures
    ),
    "will_be_destroyed": lambda t, n, **figures: t.plural(
        "Your next plan change destroys {n} server for good:",
        "Your next plan change destroys {n} servers for good:",
        n,
        **figures,
    ),
    "lost_title": lambda t, n, **figures: t.plural(
        "{n} server will be destroyed for good", "{n} servers will be destroyed for good", n, **figures
    ),
    "destroys": lambda t, n, **figures: t.plural(
        "Destroys {n} server for good:", "Destroys {n} servers for good:", n, **figures
    ),
    "creates": lambda t, n, **figures: t.plural(
        "{n} new server is created.", "{n} new servers are created.", n, **figures
    ),
    "kept": lambda t, n, **figures: t.plural(
        "{n} server keeps its data, its backups and its address:",
        "{n} servers keep their data, their backups and their addresses:",
        n,
        **figures,
    ),
    "kept_now": lambda t, n, **figures: t.plural(
        "{n} server kept, with its data and its address:",
        "{n} servers kept, with their data and their addresses:",
        n,
        **figures,
    ),
    "created_now": lambda t, n, **figures: t.plural(
        "{n} server created:", "{n} servers created:", n, **figures
    ),
    "was_destroyed": lambda t, n, **figures: t.plural(
        "{n} server destroyed for good", "{n} servers destroyed for good", n, **figures
    ),
    "ack_destroy": lambda t, n, **figures: t.plural(
        "I understand that {name} ({address}), its data and its {n} backup are destroyed for good.",
        "I understand that {name} ({address}), its data and its {n} backups are destroyed for good.",
        n,
        **figures,
    ),
    "tries_left": lambda t, n, **figures: t.plural(
        "{n} try left for this code", "{n} tries left for this code", n, **figures
    ),
    "renew_for": lambda t, n, **figures: t.plural("Renew by {n} day", "Renew by {n} days", n, **figures),
    "take_servers": lambda t, n, **figures: t.plural("Choose {n} server", "Choose {n} servers", n, **figures),
}
"""Phrases that depend on a number: called with the texts, the number and the other figures."""
