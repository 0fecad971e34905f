"""The closed list of what an entry can say was done. An action that is not listed here cannot be recorded."""

from django.db.models import TextChoices


class Action(TextChoices):
    """`AREA_VERB = "area.verb", "what the person did, in the past tense"`: the label is the verb of the timeline's sentence."""

    # audit
    ACCESS_SEALED = "access.sealed", "sealed"
    CHAIN_WALKED = "chain.walked", "walked the chain of"
    SYSTEM_MIGRATED = "system.migrated", "migrated"
    REQUEST_REFUSED = "request.refused", "was refused a request about"
    HOLD_BEGUN = "hold.begun", "made read-only"
    HOLD_ENDED = "hold.ended", "ended the read-only time of"
    RESTORE_REPORTED = "restore.reported", "reported the restored database in"
    ALARM_RAISED = "alarm.raised", "raised the alarm"
    ALARM_REPEATED = "alarm.repeated", "repeated the alarm"
    ALARM_ACKNOWLEDGED = "alarm.acknowledged", "acknowledged the alarm"
    ALARM_CLEARED = "alarm.cleared", "cleared the alarm"
    ALARM_MAILED = "alarm.mailed", "mailed the alarm"
    REVIEW_FILTER_CHANGED = "review.filter_changed", "set what is reviewed by the filter"
    REVIEW_MADE = "review.made", "reviewed the audit trail by the filter"
    REVIEW_SIGNED = "review.signed", "signed the audit-trail review by the filter"
    REVIEW_REFUSED = "review.refused", "was refused a review of"
    ALARM_REFUSED = "alarm.refused", "was refused acknowledgement of the alarm"

    # accounts
    FOUNDING_STARTED = "founding.started", "started"
    FOUNDING_ENDED = "founding.ended", "ended"
    USER_INVITED = "user.invited", "invited"
    USER_CHANGED = "user.changed", "changed the account of"
    USER_DEACTIVATED = "user.deactivated", "deactivated the account of"
    USER_REACTIVATED = "user.reactivated", "reactivated the account of"
    USER_ENROLLED = "user.enrolled", "set password and one-time code of"
    USER_IDENTITY_PROVED = "user.identity_proved", "proved the identity of"
    USER_ROLES_CHANGED = "user.roles_changed", "changed the roles of"
    USER_AREAS_CHANGED = "user.areas_changed", "changed the areas of"
    USER_GRANT_CHANGED = "user.grant_changed", "changed a grant of"
    USER_UNLOCKED = "user.unlocked", "unlocked the account of"
    USER_ACKNOWLEDGED = "user.acknowledged", "acknowledged what their signature means"
    USER_SUSPECTED = "user.suspected", "raised a suspicion about the account of"
    USER_CLEARED = "user.cleared", "ended the suspicion about the account of"
    USER_DORMANT = "user.dormant", "locked the dormant account of"
    USER_ACCESS_REVIEWED = "user.access_reviewed", "recertified the access of"
    USER_REFUSED = "user.refused", "was refused a change of the account of"
    LINK_SENT = "link.sent", "sent a single-use link to"
    AREA_CREATED = "area.created", "created the area"
    AREA_CHANGED = "area.changed", "changed the area"
    AREA_REFUSED = "area.refused", "was refused a change of the area"
    LOGIN_SUCCEEDED = "login.succeeded", "logged in"
    LOGIN_REFUSED = "login.refused", "was refused log-in as"
    LOGIN_ENDED = "login.ended", "logged out"
    PASSWORD_RESET_ASKED = "password.reset_asked", "asked for a password reset for"
    PASSWORD_CHANGED = "password.changed", "changed the password"
    CODE_ENROLLED = "code.enrolled", "enrolled a one-time code device"
    CODE_ENCRYPTED = "code.encrypted", "re-encrypted the one-time code seed of"
    CODE_RESET = "code.reset", "withdrew the one-time code device of"
    CODE_LINKED = "code.linked", "allowed a new one-time code device for"
    CODE_TESTED = "code.tested", "tested the one-time code device of"
    CODE_LOST = "code.lost", "reported their one-time code device lost"
    LETTER_FILED = "letter.filed", "filed the"
    LETTER_WAIVED = "letter.waived", "waived the letter of 11.100(c) by"
    LETTER_WAIVER_ENDED = "letter.waiver_ended", "ended the waiver of the letter of 11.100(c) by"
    LETTER_REFUSED = "letter.refused", "was refused the filing of a letter by"
    PASSKEY_ENROLLED = "passkey.enrolled", "enrolled a passkey"
    PASSKEY_WITHDRAWN = "passkey.withdrawn", "withdrew a passkey of"
    SSO_LINKED = "sso.linked", "linked an identity of single sign-on to"
    SSO_UNLINKED = "sso.unlinked", "unlinked single sign-on from"
    SSO_CONFIRMED = "sso.confirmed", "was confirmed by the identity provider"
    SSO_REFUSED = "sso.refused", "was refused by single sign-on"
    CONFIRMATION_REFUSED = "confirmation.refused", "was refused confirmation by password and second factor for"
    QUALIFICATION_LIFTED = "qualification.lifted", "lifted a reading of"
    QUALIFICATION_SET = "qualification.set", "updated the training record of"

    # storage
    BUCKET_REGISTERED = "bucket.registered", "registered the bucket"
    BUCKET_REFUSED = "bucket.refused", "was refused registration of the bucket"
    POSTURE_READ = "posture.read", "read the posture of"
    POSTURE_REFUSED = "posture.refused", "was refused a baseline or snapshot of"

    # records
    TYPE_CREATED = "type.created", "created the record type"
    RECORD_CREATED = "record.created", "created"
    VERSION_REGISTERED = "version.registered", "registered"
    VERSION_REFUSED = "version.refused", "was refused registration of"
    REPORT_SEALED = "report.sealed", "sealed the report"
    REPORT_REFUSED = "report.refused", "was refused the report"
    VERSION_SUBMITTED = "version.submitted", "submitted"
    VERSION_APPROVED = "version.approved", "approved"
    VERSION_REJECTED = "version.rejected", "rejected"
    VERSION_RECALLED = "version.recalled", "recalled"
    VERSION_RETIRED = "version.retired", "retired"
    VERSION_EFFECTIVE = "version.effective", "set the effective date of"
    VERSION_VERIFIED = "version.verified", "verified"
    VERSION_ALTERED = "version.altered", "found altered"
    DRAFT_OPENED = "draft.opened", "opened a draft of"
    DRAFT_CHECKED_OUT = "draft.checked_out", "checked out the draft of"
    DRAFT_TAKEN_OVER = "draft.taken_over", "took over the draft of"
    DRAFT_CHECKED_IN = "draft.checked_in", "checked in the draft of"
    DRAFT_SAVED = "draft.saved", "saved the draft of"
    DRAFT_IMAGE_ADDED = "draft.image_added", "added an image to the draft of"
    STEP_REFUSED = "step.refused", "was refused a step of"

    # signatures
    SIGNATURES_REQUESTED = "signatures.requested", "asked for signatures on"
    SIGNATURE_APPLIED = "signature.applied", "signed"
    SIGNATURE_REFUSED = "signature.refused", "was refused a signature on"
    SIGNATURE_WITHDRAWN = "signature.withdrawn", "withdrew a signature on"
    SIGNATURE_DECIDED = "signature.decided", "decided on a signature on"
    STEP_VOIDED = "step.voided", "reopened a signing step of"
    INTENT_OPENED = "intent.opened", "opened the sign dialog of"
    SIGNATURE_ARCHIVED = "signature.archived", "archived the proof of a signature on"
    KEY_REGISTERED = "key.registered", "registered the"
    KEY_ROTATED = "key.rotated", "took into use the"
    CERTIFICATE_REGISTERED = "certificate.registered", "registered the"
    STEPS_LAPSED = "steps.lapsed", "completed a signing step of"
    ROUTE_CHANGED = "route.changed", "changed"
    STEP_REASSIGNED = "step.reassigned", "reassigned a signature on"

    # validation_docs, sops
    DOCUMENT_CREATED = "document.created", "created the document"
    SOP_CHANGED = "sop.changed", "changed the reading rule of"
    READING_ASSIGNED = "reading.assigned", "assigned a reading to"
    READING_SIGNED = "reading.signed", "read and understood"

    # cloudtrail
    TRAIL_CREATED = "trail.created", "registered the trail"
    TRAIL_CHANGED = "trail.changed", "changed the trail"
    TRAIL_PULLED = "trail.pulled", "pulled files of the trail"
    TRAIL_LOADED = "trail.loaded", "loaded files handed over for the trail"
    DIRECTORY_ENTERED = "directory.entered", "added the directory entry"
    DIRECTORY_CHANGED = "directory.changed", "changed the directory entry"
    TRAIL_PROVED = "trail.proved", "checked against its digests the trail"
    BUCKET_RECONCILED = "bucket.reconciled", "reconciled with CloudTrail's events the bucket"
    EVENTS_ARCHIVED = "events.archived", "archived under Object Lock the"
    TRAIL_FILE_RETRIED = "trail.file_retried", "asked for another try of a file of the trail"

    # jobs
    JOB_FAILED = "job.failed", "failed at the job"
    JOB_RETRIED = "job.retried", "asked for another try of the job"


REFUSALS = frozenset(action for action in Action if action.value.endswith((".refused",)))
# What the verb leaves open, told after a colon: the name of the detail that says it.
TOLD_BESIDES: dict[str, str] = {
    Action.READING_ASSIGNED: "version",
    Action.QUALIFICATION_SET: "version",
    Action.QUALIFICATION_LIFTED: "version",
    Action.SIGNATURE_APPLIED: "meaning",
    Action.SIGNATURE_WITHDRAWN: "said",
    Action.SIGNATURE_DECIDED: "said",
}
